// What a death costs, while nothing else is broken: of each role one process is killed, again and again, under pushes to clients
// that stay. How long that was felt is computed from the same journals as the account.
import { setTimeout as wait } from 'node:timers/promises';
import type { Dated, PusherLine, ReceiverLine } from '../harness/journal.js';
import type { FaultCluster } from './cluster.js';
import type { Fleet } from './fleet.js';
import type { ClusterNode, Role } from './node.js';

/** A process that was killed; wall ms. */
export interface Death {
  readonly node: ClusterNode;
  readonly at: number;
  /** What of its consequences is looked at. */
  readonly until: number;
  /** Names of clients whose connections were reset at the same time, by us. */
  readonly dropped: ReadonlySet<string>;
}

/** How long a dead one stays dead: longer than it can be felt. */
const AWAY_MS: Readonly<Record<Role, number>> = { comet: 6_000, job: 14_000, logic: 6_000 };
/** Before the first: brokers that have just started are slow. */
const WARM_MS = 20_000;
/** Between two of them. */
const CALM_MS = 4_000;
/** Clients that come anew while a logic has just died. */
const NEWCOMERS = 50;

export interface RecoveryOptions {
  readonly cluster: FaultCluster;
  readonly fleet: Fleet;
  readonly random: () => number;
  readonly say: (text: string) => void;
  /** Deaths of each role. */
  readonly rounds: number;
}

/** Kills, and starts again. Nobody else may break anything meanwhile, and nobody leave; pushes have to go on. */
export async function killOneByOne(options: RecoveryOptions): Promise<readonly Death[]> {
  const { cluster, fleet, random, say, rounds } = options;
  const deaths: Death[] = [];
  if (rounds > 0) await wait(WARM_MS);
  for (let round = 0; round < rounds; round++) {
    for (const role of ['comet', 'job', 'logic'] as const) {
      await wait(CALM_MS);
      const among = cluster.of(role);
      const node = among[Math.floor(random() * among.length)];
      if (node === undefined) continue;
      say(`kill -9 ${node.name}, and nothing else`);
      const at = Date.now();
      await node.end('SIGKILL');
      const dropped = role === 'logic' ? fleet.dropSome(NEWCOMERS).map(({ options: { who } }) => who) : [];
      await wait(AWAY_MS[role]);
      deaths.push({ node, at, until: at + AWAY_MS[role], dropped: new Set(dropped) });
      await node.start();
    }
  }
  await wait(CALM_MS);
  return deaths;
}

type Push = Dated<PusherLine>;
type Line = Dated<ReceiverLine>;

/** A sentence for each role; for people. */
export function figuresOf(deaths: readonly Death[], pushes: readonly Push[], lines: readonly Line[]): string[] {
  const felt = new Felt(pushes, lines);
  const of = (role: Role): readonly Death[] => deaths.filter(({ node }) => node.options.role === role);
  const comets = of('comet').map((death) => felt.comet(death));
  const jobs = of('job').map((death) => felt.delivery(death));
  const logics = of('logic').map((death) => ({ ...felt.logic(death), ...felt.delivery(death) }));
  const back = comets.flatMap((one) => one.backMs);
  const after = comets.flatMap((one) => one.afterMs);
  const newcomers = logics.flatMap((one) => one.newcomersMs);
  return [
    `${comets.length} comets killed: ${back.length} clients were back after ${spread(back)}; what was pushed to them came ${spread(after)} after they were back, or after it was accepted`,
    `${jobs.length} jobs killed: the push that waited longest for its partition to move took ${jobs.map(({ slowestMs }) => seconds(slowestMs)).join(', ')}`,
    `${logics.length} logics killed: ${sum(logics.map(({ lost }) => lost))} clients lost their connection; ${sum(logics.map(({ unknown }) => unknown))} pushes were in flight there and have no answer; ${newcomers.length} clients that came then were in after ${spread(newcomers)}; deliveries took ${seconds(Math.max(0, ...logics.map(({ slowestMs }) => slowestMs)))} at most`,
  ];
}

/** Who felt what. Native clients only: the others are told no ids. */
class Felt {
  readonly #pushes: readonly Push[];
  readonly #lines: readonly Line[];
  /** By user. */
  readonly #accepted = new Map<string, Push[]>();
  /** By client and id: when it came first. */
  readonly #came = new Map<string, number>();

  constructor(pushes: readonly Push[], lines: readonly Line[]) {
    this.#pushes = pushes;
    this.#lines = lines;
    for (const push of pushes) {
      if (push.id === undefined || !push.to.startsWith('user:')) continue;
      const user = push.to.slice('user:'.length);
      const known = this.#accepted.get(user);
      if (known === undefined) this.#accepted.set(user, [push]);
      else known.push(push);
    }
    for (const line of lines) {
      if (line.ev !== 'push' || line.log !== '' || line.id === undefined) continue;
      const key = `${line.who} ${line.id}`;
      if (!this.#came.has(key)) this.#came.set(key, line.at);
    }
  }

  /** Of those that it held: how long until they were connected again, and until what was pushed to them came then. */
  comet({ node, at, until }: Death): { readonly backMs: readonly number[]; readonly afterMs: readonly number[] } {
    const addresses = [node.options.tcp, node.options.ws];
    const held = new Set<string>();
    const back = new Map<string, number>();
    for (const line of this.#lines) {
      if (line.ev !== 'open') continue;
      if (line.at < at) {
        if (addresses.includes(line.to)) held.add(line.who);
        else held.delete(line.who);
      } else if (held.has(line.who) && !back.has(line.who)) back.set(line.who, line.at);
    }
    const afterMs: number[] = [];
    for (const [who, openedAt] of back) {
      for (const { came, acceptedAt } of this.#deliveries(who, at, until)) {
        if (came >= openedAt) afterMs.push(came - Math.max(openedAt, acceptedAt));
      }
    }
    return { backMs: [...back.values()].map((openedAt) => openedAt - at), afterMs };
  }

  /** How long the slowest delivery took, from its acceptance. */
  delivery({ at, until }: Death): { readonly slowestMs: number } {
    let slowestMs = 0;
    const clients = new Set(this.#lines.flatMap((line) => (line.ev === 'joined' && line.at < at ? [line.who] : [])));
    for (const who of clients) {
      for (const { came, acceptedAt } of this.#deliveries(who, at, until)) {
        slowestMs = Math.max(slowestMs, came - acceptedAt);
      }
    }
    return { slowestMs };
  }

  logic({ at, until, dropped }: Death): {
    readonly lost: number;
    readonly unknown: number;
    readonly newcomersMs: readonly number[];
  } {
    const during = <L extends { readonly at: number }>(line: L): boolean => line.at >= at && line.at < until;
    const closed = this.#lines.filter((line) => line.ev === 'close' && during(line) && !dropped.has(line.who));
    const unknown = this.#pushes.filter((push) => push.outcome === 'unknown' && during(push));
    const newcomersMs = new Map<string, number>();
    for (const line of this.#lines) {
      if (line.ev !== 'open' || !during(line) || !dropped.has(line.who) || newcomersMs.has(line.who)) continue;
      newcomersMs.set(line.who, line.tookMs);
    }
    return { lost: closed.length, unknown: unknown.length, newcomersMs: [...newcomersMs.values()] };
  }

  /** Of what was accepted for this client in that time. */
  #deliveries(who: string, from: number, until: number): { readonly came: number; readonly acceptedAt: number }[] {
    const [user = ''] = who.split('/');
    const found: { readonly came: number; readonly acceptedAt: number }[] = [];
    for (const { id, at } of this.#accepted.get(user) ?? []) {
      const came = this.#came.get(`${who} ${id}`);
      if (at >= from && at < until && came !== undefined) found.push({ came, acceptedAt: at });
    }
    return found;
  }
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return 'no time that was measured';
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => seconds(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return `${at(0.5)} (half of them), ${at(0.99)} (99 %), ${at(1)} (all)`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, one) => total + one, 0);
}
