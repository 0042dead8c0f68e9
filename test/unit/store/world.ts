// A small world of clients around one store, for random histories: pushes, devices that come, acknowledge, fall silent and
// return. It remembers what it was told and checks the invariants of delivery; it knows nothing of how stores work.

import type { SessionId } from '../../../src/protocol/ids.js';
import {
  compareIds,
  type DeviceId,
  formatId,
  type MessageId,
  type UserId,
  userLog,
  ZERO_ID,
} from '../../../src/protocol/ids.js';
import { bucketOf } from '../../../src/server/store/bucket.js';
import type {
  ApplyResult,
  Buckets,
  BucketsOptions,
  ReadItem,
  SessionRecord,
} from '../../../src/server/store/buckets.js';
import type { TestClock } from './test-clock.js';

/** Two users, three devices each, the third one anonymous. */
const DEVICES = ['phone', 'laptop', ''] as const;

export type Step =
  | { readonly do: 'push'; readonly user: number; readonly size: number; readonly ttl: number; readonly key: number }
  | { readonly do: 'repeat'; readonly back: number }
  | { readonly do: 'open'; readonly user: number; readonly device: number; readonly given: boolean }
  | { readonly do: 'read'; readonly session: number; readonly limit: number }
  | { readonly do: 'acknowledge'; readonly session: number; readonly confirmed: boolean }
  | { readonly do: 'close'; readonly session: number; readonly how: 'clean' | 'unclean' | 'vanish' }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'maintain' }
  | { readonly do: 'disk'; readonly full: boolean }
  | { readonly do: 'restart'; readonly how: 'orderly' | 'crash' };

interface Accepted {
  readonly id: MessageId;
  readonly text: string;
  /** When it may go, wall ms. */
  readonly until: number;
}

interface Device {
  readonly name: string;
  /** Ids of entries delivered to any of its sessions. */
  readonly delivered: Set<string>;
  /** Everything up to here was delivered or gapped to the client, which remembers it. */
  position: MessageId;
  /** The client said that it has everything up to here. */
  acknowledged: MessageId;
  /** Everything above this has to reach it; undefined: it was never there. */
  since: MessageId | undefined;
}

interface Open {
  readonly record: SessionRecord;
  readonly user: number;
  readonly device: Device;
  readonly sentBefore: MessageId;
  position: MessageId;
}

export class World {
  buckets: Buckets;
  readonly #clock: TestClock;
  readonly #restart: ((how: 'orderly' | 'crash') => Promise<Buckets>) | undefined;
  /** Anonymous sessions speak an old dialect, which costs no write when they open. */
  readonly #legacy: boolean;
  readonly #accepted: Accepted[][] = [[], []];
  readonly #keys = new Map<string, { id: MessageId; text: string; at: number }>();
  readonly #devices: Device[][];
  readonly #options: BucketsOptions;
  readonly #disk: ((full: boolean) => void) | undefined;
  #open: Open[] = [];
  #n = 0;
  #sessions = 0;
  /** What every step answered, for comparing engines. */
  readonly answers: unknown[] = [];

  constructor(
    buckets: Buckets,
    clock: TestClock,
    options: BucketsOptions,
    restart?: (how: 'orderly' | 'crash') => Promise<Buckets>,
    legacy = false,
    disk?: (full: boolean) => void,
  ) {
    this.#legacy = legacy;
    this.#disk = disk;
    this.buckets = buckets;
    this.#clock = clock;
    this.#options = options;
    this.#restart = restart;
    const device = (name: string): Device => {
      return { name, delivered: new Set(), position: ZERO_ID, acknowledged: ZERO_ID, since: undefined };
    };
    this.#devices = [0, 1].map(() => DEVICES.map(device));
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#step(step);
    await this.#settle();
  }

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case 'push':
        return this.#push(step);
      case 'repeat':
        return this.#repeat(step.back);
      case 'open':
        return this.#enter(step.user, step.device, step.given);
      case 'read':
        return this.#read(this.#pick(step.session), step.limit);
      case 'acknowledge':
        return this.#acknowledge(this.#pick(step.session), step.confirmed);
      case 'close':
        return this.#leave(this.#pick(step.session), step.how);
      case 'pass':
        return this.#clock.pass(step.ms);
      case 'maintain':
        await this.buckets.maintain();
        return this.#flush();
      case 'disk':
        return this.#disk?.(step.full);
      case 'restart':
        if (this.#restart === undefined) return;
        this.buckets = await this.#restart(step.how);
        this.#n = 0;
        this.#open = [];
    }
  }

  /** On a full disk cursors wait. */
  async #flush(): Promise<void> {
    await this.buckets.flush().catch(unlessFull);
  }

  /** -1: the newest. */
  #pick(at: number): Open | undefined {
    return at < 0 ? this.#open.at(-1) : this.#open[at % Math.max(1, this.#open.length)];
  }

  async #apply(user: number, id: MessageId, text: string, ttl: number, key: string | undefined): Promise<ApplyResult> {
    const log = userLog(`user-${user}` as UserId);
    const acceptedAt = this.#clock.now();
    const idempotency = key === undefined ? {} : { idempotency: { scope: 's', key, bodyHash: text } };
    const record = { id, log, payload: Buffer.from(text), acceptedAt, expiresAt: acceptedAt + ttl, ...idempotency };
    const [result] = await this.buckets.apply([
      { bucket: bucketOf(log), lastSeen: ZERO_ID, records: [record], upTo: id },
    ]);
    const one = result?.kind === 'applied' ? result.results[0] : undefined;
    if (one === undefined) throw new Error('a push was neither applied nor refused');
    this.answers.push(one.kind, 'id' in one ? one.id : undefined, 'prev' in one ? one.prev : undefined);
    if ('sessions' in one) this.answers.push(one.sessions.map((session) => session.session).sort());
    return one;
  }

  async #push({ user, size, ttl, key }: Step & { do: 'push' }): Promise<void> {
    this.#n += 1;
    const id = { epoch: this.buckets.epoch, n: this.#n };
    const name = key === 0 ? undefined : `${user}/${key}`;
    const text = name === undefined ? `${formatId(id)} `.padEnd(size, '.') : `keyed ${name}`;
    const acceptedAt = this.#clock.now();
    const result = await this.#apply(user, id, text, ttl, name).catch(unlessFull);
    if (result === undefined) return;
    const before = name === undefined ? undefined : this.#keys.get(name);
    const alive = before !== undefined && acceptedAt < before.at + this.#options.idempotency.forMs;
    if (result.kind === 'duplicate') {
      check(alive && compareIds(result.id, before.id) === 0, 'one idempotency key, one id', { result, before });
      return;
    }
    if (result.kind === 'idempotency_full') return;
    check(result.kind === 'appended', 'a new id is appended', result);
    check(!alive, 'an idempotency key is not used twice', { result, before });
    const until = acceptedAt + Math.min(ttl, this.#options.keep.ageMs);
    this.#accepted[user]?.push({ id, text, until });
    if (name !== undefined) this.#keys.set(name, { id, text, at: this.#clock.now() });
  }

  async #repeat(back: number): Promise<void> {
    const user = back % 2;
    const list = this.#accepted[user] ?? [];
    const one = list[list.length - 1 - Math.floor(back / 2)];
    if (one === undefined) return;
    const result = await this.#apply(user, one.id, 'another text', 1_000, undefined).catch(unlessFull);
    if (result === undefined) return;
    check(result.kind === 'repeated' || result.kind === 'gone', 'a repeated id changes nothing', result);
    if (result.kind !== 'repeated') return;
    const prev = list[list.indexOf(one) - 1]?.id ?? ZERO_ID;
    check(compareIds(result.prev, prev) === 0, 'prev is what was before, for ever', { result, prev });
  }

  async #enter(user: number, at: number, given: boolean): Promise<void> {
    const device = this.#devices[user]?.[at] as Device;
    this.#sessions += 1;
    const record = {
      session: `s${String(this.#sessions).padStart(5, '0')}` as SessionId,
      user: `user-${user}` as UserId,
      device: device.name as DeviceId,
      token: undefined,
      comet: 'comet',
      incarnation: 1,
      seq: this.#sessions,
      dialect: device.name === '' && this.#legacy ? 'imgo' : 'native',
      transport: 'tcp',
      peer: '',
      since: this.#sessions,
    } as SessionRecord;
    const registered = await this.buckets.register(record, { cap: 4, onTooMany: 'replace-oldest' });
    if (registered.kind === 'registered') {
      const gone = [...registered.replaced, ...registered.evicted].map((one) => one.session);
      this.answers.push(gone);
      for (const old of this.#open.filter((one) => gone.includes(one.record.session))) await this.#leave(old, 'clean');
    }
    const own = given && device.since !== undefined ? device.position : undefined;
    const opened = await this.buckets.openCursor(record, own).catch(unlessFull);
    if (opened === undefined) {
      // Nothing is known of the device, and nothing could be written.
      check(device.since === undefined, 'a device that was there before opens on a full disk', device.name);
      await this.buckets.unregister(record.session, record.user, 1, this.#sessions);
      return;
    }
    const { start, head, sentBefore } = opened;
    this.answers.push(start, head, sentBefore);
    check(compareIds(start, head) <= 0, 'reading starts at or below the head', { start, head });
    if (device.since === undefined) {
      device.since = start;
      device.position = start;
      device.acknowledged = start;
    }
    if (own !== undefined && compareIds(own, device.acknowledged) > 0) device.acknowledged = own;
    // What is between the client's memory and the start was acknowledged, or is somebody else's to take (anonymous).
    if (device.name !== '')
      check(compareIds(start, device.position) <= 0, 'a cursor never passes what was sent', start);
    this.#open.push({ record, user, device, sentBefore, position: start });
  }

  async #read(open: Open | undefined, limit: number): Promise<void> {
    if (open === undefined) return;
    const { user, device } = open;
    const log = userLog(`user-${user}` as UserId);
    const { items, readTo, head } = await this.buckets.read(log, open.position, { entries: limit, bytes: 4_000 });
    this.answers.push(items.map(brief), readTo, head);
    let last = open.position;
    const list = this.#accepted[user] ?? [];
    for (const item of items) {
      if (item.kind === 'gap') {
        check(compareIds(item.after, last) === 0, 'a gap begins where the last item ended', { item, last });
        check(compareIds(item.upTo, item.after) > 0, 'a gap covers something', item);
        this.#mayBeGone(open, item.after, item.upTo);
        last = item.upTo;
        continue;
      }
      const { id, payload } = item.entry;
      const expected = list.find((one) => compareIds(one.id, last) > 0);
      check(compareIds(id, last) > 0, 'first deliveries are in increasing order', { id, last });
      check(expected !== undefined && compareIds(expected.id, id) === 0, 'nothing is skipped', { id, expected });
      check(Buffer.from(payload).toString() === expected?.text, 'what is delivered is what was accepted', item);
      const flagged = compareIds(id, open.sentBefore) <= 0;
      if (device.name !== '' && device.delivered.has(formatId(id))) {
        check(flagged, 'a repeated delivery is flagged', { id, sentBefore: open.sentBefore, device: device.name });
      }
      device.delivered.add(formatId(id));
      last = id;
    }
    const missed = list.some((one) => compareIds(one.id, last) > 0 && compareIds(one.id, readTo) <= 0);
    check(!missed, 'nothing is skipped at the end of a page', { last, readTo });
    open.position = readTo;
    if (compareIds(readTo, device.position) > 0) device.position = readTo;
  }

  /** What is gone was acknowledged by all, has expired, or was over the cap. */
  #mayBeGone({ user, device }: Open, after: MessageId, upTo: MessageId): void {
    const list = this.#accepted[user] ?? [];
    const { keep } = this.#options;
    const named = (this.#devices[user] ?? []).some((one) => one.name !== '' && one.since !== undefined);
    if (device.name === '' && named) return;
    for (const [at, { id, until }] of list.entries()) {
      if (compareIds(id, after) <= 0 || compareIds(id, upTo) > 0) continue;
      if (compareIds(id, device.acknowledged) <= 0 || compareIds(id, device.since ?? ZERO_ID) <= 0) continue;
      const newer = list.slice(at);
      const bytes = newer.reduce((sum, one) => sum + Buffer.byteLength(one.text), 0);
      const capped = newer.length > keep.messages || bytes > keep.bytes;
      check(capped || until <= this.#clock.now(), 'what is gone was acknowledged, expired or over the cap', id);
    }
  }

  async #acknowledge(open: Open | undefined, confirmed: boolean): Promise<void> {
    if (open === undefined) return;
    const { device, position } = open;
    if (confirmed && compareIds(position, device.acknowledged) > 0) device.acknowledged = position;
    await this.buckets.progress(open.record, position, confirmed);
    await this.#flush();
    await this.#look(open.user);
  }

  async #leave(open: Open | undefined, how: 'clean' | 'unclean' | 'vanish'): Promise<void> {
    if (open === undefined) return;
    this.#open = this.#open.filter((one) => one !== open);
    const { record } = open;
    if (how !== 'vanish')
      await this.buckets.closeCursor(record, how === 'clean' ? open.position : ZERO_ID, how === 'clean');
    this.#sessions += 1;
    await this.buckets.unregister(record.session, record.user, 1, this.#sessions);
    await this.#flush();
    await this.#look(open.user);
  }

  /** What an operator would see of a user. */
  async #look(user: number): Promise<void> {
    const name = `user-${user}` as UserId;
    const devices = await this.buckets.devices(name);
    const log = await this.buckets.log(userLog(name));
    this.answers.push(devices, log);
    for (const { device, cursor, sentTo } of devices) {
      const known = this.#devices[user]?.find((one) => one.name === device);
      check(log !== undefined && compareIds(cursor, log.head) <= 0, 'a cursor is not above the head', { cursor, log });
      check(compareIds(cursor, known?.position ?? ZERO_ID) <= 0, 'a cursor never passes what was sent', {
        device,
        cursor,
      });
      check(compareIds(sentTo, cursor) >= 0, 'what was acknowledged was sent', { sentTo, cursor });
    }
  }

  /** Every device comes back, with what it remembers, and reads all: it has each message, or a gap that covers it. */
  async #settle(): Promise<void> {
    for (const user of [0, 1]) {
      for (const [at, device] of (this.#devices[user] ?? []).entries()) {
        if (device.since === undefined) continue;
        const before = device.position;
        await this.#enter(user, at, true);
        const open = this.#open[this.#open.length - 1] as Open;
        check(compareIds(open.position, before) <= 0, 'a position the client states is honoured', { before });
        const last = this.#accepted[user]?.at(-1)?.id ?? ZERO_ID;
        for (let page = 0; compareIds(open.position, last) < 0; page++) {
          check(page < 1_000, 'reading comes to an end', { position: open.position, last });
          await this.#read(open, 7);
        }
      }
    }
  }
}

function brief(item: ReadItem): unknown {
  if (item.kind === 'gap') return [formatId(item.after), formatId(item.upTo)];
  const { id, prev, mid, expiresAt } = item.entry;
  return [formatId(id), formatId(prev), mid, expiresAt];
}

function unlessFull(error: unknown): undefined {
  if ((error as { code?: string }).code !== 'store_full') throw error;
}

function check(holds: boolean, what: string, seen: unknown): asserts holds {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}
