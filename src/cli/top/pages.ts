// What `imgo top` shows that is no table: the queue and the store, alerts with what to do, refusals by reason, one session.

import { count, size, time } from '../../bench/numbers.js';
import type { TopAnswer } from '../../server/logic/top.js';
import { age } from '../output.js';
import type { ShownSession } from '../presence.js';
import { cell } from '../tui/cells.js';
import { line } from '../tui/line.js';
import { alertLine } from './head.js';
import type { Drawing } from './heading.js';

const LABEL = 16;

function fact(label: string, text: string, look: Drawing): string {
  return line([' ', { text: cell(label, LABEL), colour: 'dim' }, text], look);
}

/** Counts that are not 0, the largest first: `refused_fd_limit 12, …`. */
function counted(counts: Readonly<Record<string, number>>): string {
  const shown = Object.entries(counts).filter(([, times]) => times > 0);
  if (shown.length === 0) return 'none';
  return shown
    .sort(([, a], [, b]) => b - a)
    .map(([name, times]) => `${name} ${count(times)}`)
    .join(', ');
}

export function queueLines({ queue, store, job, totals }: TopAnswer, look: Drawing): readonly string[] {
  const free = store.freeBytes === undefined ? '' : `, ${size(store.freeBytes)} free`;
  return [
    fact('waiting', `${count(queue.waiting)} messages, ${size(queue.waitingBytes)}`, look),
    ...(queue.lag === undefined ? [] : [fact('not committed', `${count(queue.lag)} records`, look)]),
    fact('oldest', queue.oldestMs > 0 ? time(queue.oldestMs) : 'nothing waits', look),
    fact('accepted', `${count(totals.accepted)} pushes, ${count(queue.accepted)} by the queue`, look),
    fact('refused', counted(queue.refused), look),
    fact('dropped', counted(queue.dropped), look),
    fact('queue', counted(queue.counters ?? {}), look),
    fact('job', counted(job), look),
    fact(
      'store',
      `${store.writable ? 'writable' : `refuses: ${store.code}`}, ${size(store.usedBytes)} used${free}`,
      look,
    ),
    fact('', counted(store.counters), look),
  ];
}

/** Every alert with its knob and what to do. */
export function adviceLines({ alerts, alertCount, at }: TopAnswer, look: Drawing): readonly string[] {
  if (alertCount === 0) return [line([' none'], look)];
  const lines: string[] = [];
  for (const alert of alerts) {
    lines.push(alertLine(alert, Date.parse(at), look));
    const said = alert.knob === '' || alert.advice.some((text) => text.includes(alert.knob));
    const turn = said ? [] : [`turn ${alert.knob}`];
    for (const text of [...turn, ...alert.advice]) lines.push(line([{ text: `     → ${text}`, colour: 'dim' }], look));
  }
  const more = alertCount - alerts.length;
  return more > 0 ? [...lines, line([{ text: ` and ${count(more)} more`, colour: 'dim' }], look)] : lines;
}

export function reasonLines({ reasons }: TopAnswer, look: Drawing): readonly string[] {
  const of = (prefix: string) =>
    Object.fromEntries(
      Object.entries(reasons).flatMap(([name, times]) =>
        name.startsWith(prefix) ? [[name.slice(prefix.length), times]] : [],
      ),
    );
  return [
    fact('refused', counted(of('refused_')), look),
    fact('dropped', counted(of('dropped_')), look),
    fact('closed', counted(of('closed_')), look),
    fact('failed', counted(of('failed_')), look),
  ];
}

/** One session; `sessions` undefined: it was not asked for yet, empty: it is gone. */
export function sessionLines(
  id: string,
  sessions: readonly ShownSession[] | undefined,
  look: Drawing,
): readonly string[] {
  if (sessions === undefined) return [line([' …'], look)];
  const [session] = sessions;
  if (session === undefined) return [line([{ text: ` ${id} is connected no more`, colour: 'yellow' }], look)];
  const { user, device, node, dialect, transport, peer, since, position, sentTo, lagBytes, rooms, state } = session;
  const unknown = 'its comet does not answer';
  return [
    fact('user', user ?? 'none', look),
    fact('device', device === '' ? 'anonymous' : device, look),
    fact('node', node, look),
    fact('speaks', `${dialect} over ${transport}`, look),
    fact('from', peer, look),
    fact('since', `${age(Date.now() - Date.parse(since))} ago, ${since}`, look),
    fact('acknowledged', position, look),
    fact('sent', sentTo ?? unknown, look),
    fact('lag', lagBytes === null ? unknown : size(lagBytes), look),
    fact('state', state ?? unknown, look),
    fact('rooms', rooms === null ? unknown : rooms.length === 0 ? 'none' : rooms.join(', '), look),
  ];
}
