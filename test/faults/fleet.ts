// The clients: native ones with one device or two, and legacy ones, over TCP and WebSocket, spread over the comets. They leave,
// die and come back all the time, mostly to another comet, and write down whatever they get.
import { setTimeout as wait } from 'node:timers/promises';
import type { ReceiverPlan } from '../harness/account.js';
import type { Journal, ReceiverLine } from '../harness/journal.js';
import { call } from '../harness/pusher.js';
import { type Dialect, RawReceiver } from '../harness/receiver.js';

export interface FleetOptions {
  readonly clients: number;
  readonly random: () => number;
  readonly journal: Journal<ReceiverLine>;
  /** Where a client is to connect now; undefined: nowhere. */
  readonly comet: () => { readonly tcp: string; readonly ws: string } | undefined;
  /** A logic's base address. */
  readonly logic: () => string;
}

interface Kind {
  readonly dialect: Dialect;
  readonly transport: 'tcp' | 'ws';
}

const NATIVE: readonly Kind[] = [
  { dialect: 'native', transport: 'tcp' },
  { dialect: 'native', transport: 'ws' },
];
const LEGACY: readonly Kind[] = [
  { dialect: 'imgo', transport: 'tcp' },
  { dialect: 'imgo', transport: 'ws' },
  { dialect: 'goim1', transport: 'ws' },
  { dialect: 'goim2', transport: 'tcp' },
];
const FIRST_USER = 10_000;
const TOKENS_AT_ONCE = 32;
/** Members of a room, about. */
const ROOM = 40;
/** Clients a second that do something, all together. */
const CHURN_PER_SECOND = 20;
const AWAY_MAX_MS = 8_000;
const TICK_MS = 100;

export class Fleet {
  readonly receivers: readonly RawReceiver[];
  readonly plans: readonly ReceiverPlan[];
  readonly users: readonly string[];
  readonly rooms: readonly string[];
  readonly #random: () => number;
  #over = false;
  #churning: Promise<void> = Promise.resolve();

  private constructor(receivers: RawReceiver[], plans: ReceiverPlan[], rooms: string[], random: () => number) {
    this.receivers = receivers;
    this.plans = plans;
    this.users = [...new Set(plans.map(({ user }) => user))];
    this.rooms = rooms;
    this.#random = random;
  }

  /** Makes their tokens; none connects yet. */
  static async create(options: FleetOptions): Promise<Fleet> {
    const { clients, random, journal, comet, logic } = options;
    const rooms = Array.from({ length: Math.max(2, Math.round(clients / ROOM)) }, (_, at) => `r${at}`);
    const receivers: RawReceiver[] = [];
    const plans: ReceiverPlan[] = [];
    const add = async (index: number): Promise<void> => {
      const place = index % 10;
      const legacy = place >= 8;
      // The eighth of ten is the second device of the seventh's user.
      const user = String(FIRST_USER + (place === 7 ? index - 1 : index));
      const kinds = legacy ? LEGACY : NATIVE;
      const { dialect, transport } = kinds[Math.floor(index / 10 + place) % kinds.length] as Kind;
      const device = legacy ? undefined : place === 7 ? 'web' : 'phone';
      const own = legacy ? [] : [rooms[index % rooms.length] ?? ''];
      const ownCursor = !legacy && random() < 0.4;
      const ackEveryMs = 30 + random() * 500;
      const token = await makeToken(logic(), { user, ttl: '1d', ...(device && { device, rooms: own }) });
      const who = `${user}/${device ?? dialect}`;
      const named = device === undefined ? {} : { device };
      const base = {
        who,
        dialect,
        transport,
        address: comet,
        token,
        user,
        rooms: own,
        journal,
        retryMs: 100,
        patient: true,
      };
      receivers.push(new RawReceiver({ ...base, ...named, ownCursor, ackEveryMs }));
      plans.push({ who, user, native: !legacy, rooms: own });
    };
    for (let first = 0; first < clients; first += TOKENS_AT_ONCE) {
      const many = Math.min(TOKENS_AT_ONCE, clients - first);
      await Promise.all(Array.from({ length: many }, (_, at) => add(first + at)));
    }
    return new Fleet(receivers, plans, rooms, random);
  }

  get open(): number {
    return this.receivers.filter(({ open }) => open).length;
  }

  /** Everybody connects, paced, until everybody has been there. */
  async connect(perSecond = 500): Promise<void> {
    for (const [index, receiver] of this.receivers.entries()) {
      receiver.start();
      if (index % 50 === 49) await wait(50_000 / perSecond);
    }
    await this.#until(() => this.receivers.every(({ opened }) => opened > 0));
  }

  /** Ends their connections all at once, as when a network does; they come back at once. */
  dropSome(count: number): readonly RawReceiver[] {
    const dropped = this.receivers.filter(({ open }) => open).slice(0, count);
    for (const receiver of dropped) this.#return(receiver);
    return dropped;
  }

  /** From now on some leave, die, or go to another comet, and come back, until {@link gather}. */
  churn(): void {
    this.#over = false;
    this.#churning = this.#churn();
  }

  /** Nobody leaves any more; resolves when everybody is connected. */
  async gather(): Promise<void> {
    this.#over = true;
    await this.#churning;
    for (const receiver of this.receivers) receiver.start();
    await this.#until(() => this.receivers.every(({ open }) => open));
  }

  /** Resolves when nobody has got anything for so long. */
  async quiet(ms: number, until: number): Promise<void> {
    const total = (): number => this.receivers.reduce((sum, { received }) => sum + received, 0);
    let last = total();
    for (let since = Date.now(); Date.now() - since < ms && Date.now() < until; await wait(TICK_MS)) {
      if (total() === last) continue;
      last = total();
      since = Date.now();
    }
  }

  /** Every second one closes properly, and stays away. */
  async halve(): Promise<void> {
    const leaving = this.receivers.filter((_, index) => index % 2 === 1);
    for (const receiver of leaving) receiver.stop();
    await this.#until(() => leaving.every(({ open }) => !open));
  }

  stop(): void {
    this.#over = true;
    for (const receiver of this.receivers) receiver.abort();
  }

  async #churn(): Promise<void> {
    const { receivers } = this;
    const back = new Map<RawReceiver, number>();
    for (; !this.#over; await wait(TICK_MS)) {
      const now = Date.now();
      for (const [receiver, at] of back) {
        if (at > now) continue;
        back.delete(receiver);
        this.#return(receiver);
      }
      for (let due = (CHURN_PER_SECOND * TICK_MS) / 1_000; due > this.#random(); due--) {
        const receiver = receivers[Math.floor(this.#random() * receivers.length)];
        if (receiver === undefined || back.has(receiver)) continue;
        const dice = this.#random();
        if (dice < 0.4) this.#return(receiver);
        else {
          if (dice < 0.7) receiver.abort();
          else receiver.stop();
          back.set(receiver, now + this.#random() * AWAY_MAX_MS);
        }
      }
    }
  }

  /** Wherever it was connected it is no more; it dials again. */
  #return(receiver: RawReceiver): void {
    receiver.abort();
    receiver.start();
  }

  /** Whoever hangs at a comet that does not answer tries another one after a while. */
  async #until(holds: () => boolean): Promise<void> {
    for (let since = Date.now(); !holds(); await wait(TICK_MS)) {
      if (Date.now() - since < 5_000) continue;
      since = Date.now();
      for (const receiver of this.receivers) if (receiver.wanted && receiver.dialling) this.#return(receiver);
    }
  }
}

async function makeToken(logic: string, wishes: object): Promise<string> {
  const answer = await call(`${logic}/v1/tokens`, 'POST', JSON.stringify(wishes));
  if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body) as { token: string }).token;
}
