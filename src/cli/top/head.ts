// The upper part of `imgo top`: whose server it is and whether it still answers, five lines of figures, the alerts that hold.

import { count, short, size, time } from '../../bench/numbers.js';
import type { TopAnswer } from '../../server/logic/top.js';
import { age } from '../output.js';
import type { Colour } from '../style.js';
import { cell, cut, widthOf } from '../tui/cells.js';
import { bar, spark } from '../tui/draw.js';
import { line, type Part, spread } from '../tui/line.js';
import { type Drawing, heading } from './heading.js';
import type { Moment } from './moment.js';

/** How it stands with the server, beside what it said. */
export interface Standing {
  /** Of its address. */
  readonly server: string;
  readonly intervalMs: number;
  /** Since the last answer. */
  readonly agoMs: number;
  /** Code of why there is none; undefined: there is. */
  readonly error: string | undefined;
  readonly paused: boolean;
}

const LABEL = 11;
/** Without an answer for so many intervals, and at least so long, it is said. */
const STALE_INTERVALS = 2.5;
const STALE_MS = 3_000;
/** What waits for less is only on its way. */
const OLD_MS = 100;

/** True when what is shown is older than it should be. */
export function isStale({ agoMs, intervalMs, error }: Standing): boolean {
  return error !== undefined || agoMs > Math.max(STALE_MS, STALE_INTERVALS * intervalMs);
}

export function titleLine(moment: Moment | undefined, standing: Standing, look: Drawing): string {
  const { server, intervalMs, paused } = standing;
  const { totals, version } = moment?.answer ?? {};
  const parts: Part[] = [' ', { text: 'imgo top', colour: 'bold' }, `  ${server}`];
  if (totals !== undefined) {
    const workers =
      look.columns >= 90 && totals.processes > totals.nodes
        ? ` · ${count(totals.processes - totals.nodes)} workers`
        : '';
    parts.push(`   ${count(totals.nodes)} ${totals.nodes === 1 ? 'node' : 'nodes'}${workers} · ${version}`);
  }
  const at = moment === undefined ? '' : new Date(moment.answer.at).toTimeString().slice(0, 8);
  const [sign, says, colour] = liveness(standing);
  const every = look.columns < 80 || paused || isStale(standing) ? '' : `  every ${time(intervalMs)}`;
  const text = `${at}${every}  ${sign} ${says} `;
  // The right edge has its colour only where the left side leaves it its place.
  const whole = spread(parts, text, look);
  return colour === undefined || !look.coloured ? whole : colourEnd(whole, `${sign} ${says} `, colour, look);
}

function colourEnd(whole: string, end: string, colour: Colour, look: Drawing): string {
  if (!whole.endsWith(end)) return whole;
  return `${whole.slice(0, -end.length)}${line([{ text: end, colour }], look)}`;
}

function liveness(standing: Standing): readonly [string, string, Colour | undefined] {
  const { agoMs, error, paused } = standing;
  if (isStale(standing)) {
    const why = error === undefined || error === 'unreachable' ? 'no answer' : error;
    return ['○', `${why} for ${age(agoMs)}, retrying`, 'red'];
  }
  return paused ? ['○', 'paused', 'yellow'] : ['●', 'live', 'green'];
}

/** `rows`: at most so many; what matters less goes first. */
export function figureLines(moment: Moment, rows: number, look: Drawing): readonly string[] {
  const { answer, totals: rates, history } = moment;
  const { totals, queue } = answer;
  const width = look.columns;
  const drawn = width >= 120 ? 28 : width >= 100 ? 20 : width >= 80 ? 12 : 0;
  const lines: string[] = [];
  const add = (label: string, texts: readonly (string | undefined)[]) => {
    // What has no place is left out whole: a figure that is cut is a wrong one.
    let text = '';
    for (const one of texts) {
      if (one === undefined || one === '') continue;
      const longer = text === '' ? one : `${text}   ${one}`;
      if (widthOf(longer) <= width - LABEL - 1) text = longer;
    }
    lines.push(line([' ', { text: cell(label, LABEL), colour: 'dim' }, text], look));
  };
  const sparkOf = (values: readonly number[]) => (drawn === 0 ? undefined : spark(values, drawn, look.unicode));
  const bounded = totals.capacity !== null && totals.capacity > 0;
  const share = bounded ? totals.connections / (totals.capacity ?? 1) : 0;
  const of = bounded ? `${count(totals.connections)} of ${count(totals.capacity ?? 0)}` : count(totals.connections);
  add('CONNS', [
    `${of.padStart(8)}${bounded && drawn > 0 ? ` ${bar(share, Math.min(20, drawn), look.unicode)}` : ''}${bounded ? ` ${Math.round(share * 100)} %` : ''}`,
    rates.opened === undefined ? undefined : `+${short(rates.opened)} -${short(rates.closed ?? 0)} /s`,
    totals.lagging > 0 ? `lagging ${count(totals.lagging)}` : undefined,
    transports(answer),
  ]);
  add('ACCEPTED', [
    rateText(rates.accepted),
    sparkOf(history.accepted),
    totals.acceptMs === null ? undefined : `p99 ${time(totals.acceptMs.p99)}`,
    `unapplied ${count(Math.max(queue.waiting, queue.lag ?? 0))}`,
    queue.oldestMs >= OLD_MS ? `oldest ${time(queue.oldestMs)}` : undefined,
  ]);
  const perFlush = rates.deliveries !== undefined && rates.flushes ? rates.deliveries / rates.flushes : undefined;
  add('DELIVERED', [
    rateText(rates.deliveries),
    sparkOf(history.delivered),
    rates.flushes === undefined ? undefined : `${short(rates.flushes)} flush/s`,
    `gaps ${short(totals.gaps)}`,
    `drops ${short(totals.drops)}`,
    perFlush === undefined ? undefined : `${short(perFlush)} msg/flush`,
  ]);
  const { deliverMs } = totals;
  add('LATENCY', [
    (deliverMs === null ? '-' : `p50 ${time(deliverMs.p50)}`).padStart(12),
    sparkOf(history.latencyMs),
    deliverMs === null ? 'nothing delivered' : `p99 ${time(deliverMs.p99)} accept→socket`,
    `out ${rates.bytesOut === undefined ? '-' : `${size(rates.bytesOut)}/s`}`,
    `kept ${size(answer.store.usedBytes)}`,
  ]);
  return lines.slice(0, rows);
}

function rateText(value: number | undefined): string {
  return `${value === undefined ? '-' : short(value)} /s`.padStart(12);
}

/** `ws 61 %  tcp 39 %`. */
function transports({ totals: { byDialect, sessions } }: TopAnswer): string | undefined {
  if (sessions === 0) return undefined;
  const shares = new Map<string, number>();
  for (const [name, many] of Object.entries(byDialect)) {
    const transport = name.split('-')[1] ?? name;
    shares.set(transport, (shares.get(transport) ?? 0) + many);
  }
  return [...shares].map(([transport, many]) => `${transport} ${Math.round((100 * many) / sessions)} %`).join('  ');
}

/** Of the longest code. */
const CODE = 16;

type Alert = TopAnswer['alerts'][number];

const SIGNS: Readonly<Record<Alert['severity'], readonly [string, Colour | undefined]>> = {
  error: ['✖', 'red'],
  warning: ['▲', 'yellow'],
  note: ['·', undefined],
};

/** The worst of them, one a line, under a rule that says how many there are. None without any. */
export function alertLines({ alerts, alertCount, at }: TopAnswer, rows: number, look: Drawing): readonly string[] {
  if (alertCount === 0 || rows < 2) return [];
  const shown = alerts.slice(0, rows - 1);
  const note = look.columns >= 60 ? 'a: all, with what to do' : '';
  return [heading(`ALERTS ${alertCount}`, look, note), ...shown.map((alert) => alertLine(alert, Date.parse(at), look))];
}

export function alertLine(alert: Alert, now: number, look: Drawing): string {
  const { code, severity, subject, message, knob, since } = alert;
  const [sign, colour] = SIGNS[severity];
  const forMs = age(now - Date.parse(since));
  const side = look.columns >= 80 ? `${cell(knob, 22)} ${forMs.padStart(6)}` : forMs;
  const room = look.columns - side.length - CODE - 6;
  const text = cell(cut(`${subject}${subject === '' ? '' : ' '}${message}`, room), room);
  return line([' ', { text: `${sign} ${cell(code, CODE)} `, colour }, text, ' ', { text: side, colour: 'dim' }], look);
}
