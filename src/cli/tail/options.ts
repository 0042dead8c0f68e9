// The flags of `tail` as what is asked of the server, and what is done here with what comes.

import { nearest } from '../../protocol/nearest.js';
import { NODE_EVENTS, type NodeEventName } from '../../server/observe/events.js';
import { formatSize, parseSize } from '../../server/units.js';
import { durationOf, wrongValue } from '../flags.js';

/** The flags as they were given. */
export interface TailFlags {
  readonly user?: readonly string[] | undefined;
  readonly room?: readonly string[] | undefined;
  readonly session?: readonly string[] | undefined;
  readonly node?: readonly string[] | undefined;
  readonly event?: readonly string[] | undefined;
  readonly 'min-lag'?: string | undefined;
  readonly since?: string | undefined;
  readonly sample?: string | undefined;
  readonly payload: 'hidden' | 'size' | 'full';
  readonly count?: number | undefined;
  readonly timeout?: string | undefined;
}

/** What to watch, and until when. */
export interface TailOptions {
  readonly users: readonly string[];
  readonly rooms: readonly string[];
  readonly sessions: readonly string[];
  readonly nodes: readonly string[];
  /** Empty: all. */
  readonly events: readonly NodeEventName[];
  /** Bytes; only what concerns sessions that lag by as much. */
  readonly minLagBytes: number | undefined;
  /** As it is spelled in the query. */
  readonly since: string | undefined;
  /** Over 0 and at most 1. */
  readonly sample: number | undefined;
  readonly payload: 'hidden' | 'size' | 'full';
  /** Events after which it is enough. */
  readonly count: number | undefined;
  readonly timeoutMs: number | undefined;
}

/** With --min-lag what says who lags, and since when no more. */
const OF_LAGGING: readonly NodeEventName[] = ['held', 'released', 'lag', 'gap', 'close'];

/** @throws ImgoError usage */
export function readTailOptions(flags: TailFlags): TailOptions {
  const minLagBytes = sizeOf('min-lag', flags['min-lag']);
  const named = (flags.event ?? []).flatMap((value) => value.split(',')).map(eventOf);
  durationOf('since', flags.since);
  return {
    users: flags.user ?? [],
    rooms: flags.room ?? [],
    sessions: flags.session ?? [],
    nodes: flags.node ?? [],
    events: named.length === 0 && minLagBytes !== undefined ? OF_LAGGING : [...new Set(named)],
    minLagBytes,
    since: flags.since,
    sample: sampleOf(flags.sample),
    payload: flags.payload,
    count: flags.count,
    timeoutMs: durationOf('timeout', flags.timeout),
  };
}

function eventOf(value: string): NodeEventName {
  const known = NODE_EVENTS.find((name) => name === value);
  if (known !== undefined) return known;
  const near = nearest(value, NODE_EVENTS);
  throw wrongValue('event', `some of ${NODE_EVENTS.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

function sizeOf(flag: string, value: string | undefined): number | undefined {
  const bytes = value === undefined ? undefined : parseSize(value);
  if (value !== undefined && bytes === undefined) throw wrongValue(flag, 'a size such as 64KiB');
  return bytes;
}

function sampleOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(value) ?? [];
  const share = Number(digits) / (unit === '%' ? 100 : 1);
  if (!(share > 0 && share <= 1)) throw wrongValue('sample', 'a share of the sessions such as 1% or 0.01');
  return share;
}

/** The path of the stream. `heartbeats`: they are shown, or may be. */
export function streamPath(options: TailOptions, heartbeats: boolean): string {
  const query = new URLSearchParams();
  for (const user of options.users) query.append('user', user);
  for (const room of options.rooms) query.append('room', room);
  for (const session of options.sessions) query.append('session', session);
  for (const node of options.nodes) query.append('node', node);
  if (options.events.length > 0) query.set('event', options.events.join(','));
  if (options.sample !== undefined) query.set('sample', String(options.sample));
  if (options.since !== undefined) query.set('since', options.since);
  if (heartbeats) query.set('heartbeats', '1');
  if (options.payload === 'full') query.set('payload', 'full');
  const text = query.toString();
  return text === '' ? '/v1/events' : `/v1/events?${text}`;
}

/** What is watched in a few words: `user 123456`, `room live://1000, node c`; `everything`. */
export function watchedText(options: TailOptions): string {
  const { users, rooms, sessions, nodes, events, minLagBytes, sample } = options;
  const parts = [
    named('user', users),
    named('room', rooms),
    named('session', sessions),
    named('node', nodes),
    named('event', events),
    minLagBytes === undefined ? '' : `lag from ${formatSize(minLagBytes)}`,
    sample === undefined ? '' : `sample ${Number((sample * 100).toFixed(4))}%`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

function named(word: string, values: readonly string[]): string {
  return values.length === 0 ? '' : `${word} ${values.join(' ')}`;
}

/** That nobody is there, and what that means. */
export function nobodyText({ users, rooms, sessions, nodes }: TailOptions): string {
  if (sessions.length > 0) {
    return `No session ${sessions.join(', ')}: it has ended, or never was. --since 10m shows whether it has.`;
  }
  if (users.length > 0) return `User ${users.join(', ')} has no session now. Waiting for one.`;
  if (rooms.length > 0) return `Nobody is in room ${rooms.join(', ')} now. Waiting.`;
  if (nodes.length > 0) return `No session on node ${nodes.join(', ')} now. Waiting.`;
  return 'Nobody is connected now. Waiting.';
}
