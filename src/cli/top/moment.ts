/**
 * What `imgo top` knows at a moment: the server's last answer, what of its counts there was a second since the one before, and
 * the last minute of a few figures. A count that went back (another logic answered, a node was started anew) makes no rate.
 */
import type { RoomRow, TopAnswer, TopTotals } from '../../server/logic/top.js';
import type { NodeRow } from '../../server/logic/top-nodes.js';

/** Counts of a whole that make rates. */
const COUNTS = ['opened', 'closed', 'accepted', 'deliveries', 'flushes', 'bytesOut', 'bytesIn'] as const;
const NODE_COUNTS = ['cpuSeconds', 'accepted', 'deliveries', 'flushes', 'bytesOut', 'drops'] as const;
const ROOM_COUNTS = ['messages', 'deliveries'] as const;

/** A second; undefined: not known yet. */
export type Rates<Name extends string> = Readonly<Partial<Record<Name, number>>>;

export interface Moment {
  readonly answer: TopAnswer;
  readonly totals: Rates<(typeof COUNTS)[number]>;
  readonly nodes: ReadonlyMap<string, Rates<(typeof NODE_COUNTS)[number]>>;
  readonly rooms: ReadonlyMap<string, Rates<(typeof ROOM_COUNTS)[number]>>;
  /** The last minute, oldest first. */
  readonly history: {
    readonly accepted: readonly number[];
    readonly delivered: readonly number[];
    readonly latencyMs: readonly number[];
  };
}

const MINUTE_MS = 60_000;
/** Two answers closer than this make no rate of their own. */
const CLOSE_MS = 250;

interface Point {
  readonly at: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly latencyMs: number;
}

/** Makes moments of answers. */
export class Track {
  #before: { readonly at: number; readonly answer: TopAnswer } | undefined;
  #moment: Moment | undefined;
  #points: Point[] = [];

  add(answer: TopAnswer): Moment {
    const at = Date.parse(answer.at);
    const before = this.#before;
    const known = this.#moment;
    if (before !== undefined && known !== undefined && Math.abs(at - before.at) < CLOSE_MS) {
      // Another page, or another order: its rows, at the rates that are known.
      this.#moment = { ...known, answer };
      return this.#moment;
    }
    const seconds = before === undefined ? 0 : (at - before.at) / 1_000;
    const old = before?.answer;
    const totals = ratesOf(COUNTS, withClosed(answer.totals), old && withClosed(old.totals), seconds);
    this.#remember(at, totals, answer);
    this.#moment = {
      answer,
      totals,
      nodes: rowRates<NodeRow, (typeof NODE_COUNTS)[number]>(
        NODE_COUNTS,
        answer.nodes.items,
        old?.nodes.items,
        seconds,
        ({ node }) => node,
      ),
      rooms: rowRates<RoomRow, (typeof ROOM_COUNTS)[number]>(
        ROOM_COUNTS,
        answer.rooms.items,
        old?.rooms.items,
        seconds,
        roomKey,
      ),
      history: {
        accepted: this.#points.map(({ accepted }) => accepted),
        delivered: this.#points.map(({ delivered }) => delivered),
        latencyMs: this.#points.map(({ latencyMs }) => latencyMs),
      },
    };
    this.#before = { at, answer };
    return this.#moment;
  }

  #remember(at: number, rates: Moment['totals'], { totals }: TopAnswer): void {
    if (rates.deliveries === undefined) return;
    const latencyMs = totals.deliverMs?.p50 ?? 0;
    this.#points.push({ at, accepted: rates.accepted ?? 0, delivered: rates.deliveries, latencyMs });
    this.#points = this.#points.filter((point) => at - point.at <= MINUTE_MS).slice(-200);
  }
}

/** What tells a row of a room from others. */
export function roomKey({ room, node }: RoomRow): string {
  return node === undefined ? room : `${room} ${node}`;
}

function withClosed(totals: TopTotals): TopTotals & { readonly closed: number } {
  return { ...totals, closed: totals.opened - totals.connections };
}

function rowRates<Row extends Readonly<Record<Name, number>>, Name extends string>(
  names: readonly Name[],
  rows: readonly Row[],
  before: readonly Row[] | undefined,
  seconds: number,
  key: (row: Row) => string,
): ReadonlyMap<string, Rates<Name>> {
  const old = new Map((before ?? []).map((row) => [key(row), row]));
  return new Map(rows.map((row) => [key(row), ratesOf(names, row, old.get(key(row)), seconds)]));
}

function ratesOf<Name extends string>(
  names: readonly Name[],
  now: Readonly<Record<Name, number>>,
  before: Readonly<Record<Name, number>> | undefined,
  seconds: number,
): Rates<Name> {
  const rates: Partial<Record<Name, number>> = {};
  if (before === undefined || seconds <= 0) return rates;
  for (const name of names) {
    const by = now[name] - before[name];
    if (by >= 0) rates[name] = by / seconds;
  }
  return rates;
}
