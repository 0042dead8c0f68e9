// An event in the words of a row: when, which way, what, which message, how large, how long, and what to know about it.

import { count, size, time } from '../../bench/numbers.js';
import { clock } from '../output.js';
import type { Colour } from '../style.js';
import { numberIn, type SeenEvent, textIn } from './event.js';

/** The cells of a row. */
export interface EventWords {
  readonly time: string;
  /** `→` from the client, `←` to it, `·` inside the server, `✖` something is lost. */
  readonly sign: string;
  readonly what: string;
  readonly id: string;
  readonly size: string;
  readonly took: string;
  readonly note: string;
  readonly colour: Colour | undefined;
}

type Cells = Omit<EventWords, 'time' | 'colour' | 'sign'> & { readonly colour?: Colour; readonly sign?: string };

/** The words of an event; those of one that is not known here are its fields. */
export function wordsOf(event: SeenEvent): EventWords {
  const cells = (WORDS[event.event] ?? unknown)(event);
  return { time: clockOf(event, 'at'), sign: '·', colour: undefined, ...cells };
}

const BLANK = { id: '', size: '', took: '', note: '' } as const;

const WORDS: Readonly<Record<string, (event: SeenEvent) => Cells>> = {
  frame: (event) => {
    const seq = numberIn(event, 'seq');
    const bytes = numberIn(event, 'bytes');
    const ms = numberIn(event, 'ms');
    const name = textIn(event, 'name') ?? 'frame';
    const incoming = event['direction'] === 'in';
    const notes = [
      ownLog(event),
      event['redelivered'] === true ? 'redelivered' : '',
      ms === undefined ? '' : incoming ? 'socket→ack' : 'accepted→socket',
    ];
    return {
      sign: incoming ? '→' : '←',
      what: `${name} ${numberIn(event, 'op') ?? ''}`.trimEnd(),
      id: textIn(event, 'id') ?? (seq === undefined ? '' : `seq ${seq}`),
      size: bytes === undefined ? '' : size(bytes),
      took: ms === undefined ? '' : time(ms),
      note: joined(notes),
      ...(name === 'heartbeat' ? { colour: 'dim' } : {}),
    };
  },
  open: (event) => ({
    ...BLANK,
    what: 'open',
    note: joined([pair(textIn(event, 'dialect'), textIn(event, 'transport')), from(event)]),
    colour: 'green',
  }),
  close: (event) => ({
    ...BLANK,
    what: 'close',
    took: duration(event, 'openMs'),
    note: joined([textIn(event, 'reason') ?? '', code(event)]),
    colour: 'yellow',
  }),
  held: (event) => ({ ...BLANK, what: 'held', size: bytes(event), note: 'socket full', colour: 'yellow' }),
  released: (event) => ({ ...BLANK, what: 'released', took: duration(event, 'ms'), note: 'socket drained' }),
  lag: (event) => ({
    ...BLANK,
    what: 'lag',
    size: bytes(event),
    note: ownLog(event) || 'behind its log',
    colour: 'yellow',
  }),
  gap: (event) => {
    const reason = event['reason'] === 'lag' ? 'the client was too slow' : 'the log does not have it any more';
    return {
      ...BLANK,
      sign: '✖',
      what: 'gap',
      id: span(event),
      size: '',
      note: joined([lost(event), event['untold'] === true ? 'client not told' : '', reason, ownLog(event)]),
      colour: 'red',
    };
  },
  join: (event) => ({ ...BLANK, what: 'join', note: textIn(event, 'room') ?? '' }),
  leave: (event) => ({ ...BLANK, what: 'leave', note: textIn(event, 'room') ?? '' }),
  flush: (event) => ({
    ...BLANK,
    what: 'flush',
    size: bytes(event),
    took: duration(event, 'sweepMs'),
    note: joined([
      textIn(event, 'room') ?? textIn(event, 'log') ?? '',
      `${count(numberIn(event, 'messages') ?? 0)} messages to ${count(numberIn(event, 'members') ?? 0)} members`,
    ]),
  }),
  accepted: (event) => step('accepted', event),
  applied: (event) => step('applied', event),
  notified: (event) => ({
    ...step('notified', event),
    note: joined([`comet ${textIn(event, 'comet') ?? '?'}`, textIn(event, 'log') ?? '']),
  }),
  watching: (event) => ({
    ...BLANK,
    what: 'watching',
    note: `${counted(event, 'sessions', 'session')} on ${counted(event, 'nodes', 'node')}, server ${textIn(event, 'version') ?? '?'}`,
    colour: 'dim',
  }),
  dropped: (event) => ({
    ...BLANK,
    sign: '✖',
    what: 'dropped',
    size: count(numberIn(event, 'count') ?? 0),
    note:
      event['reason'] === 'slow_reader'
        ? 'events: this reader was too slow'
        : `events: too many for the buffer of node ${textIn(event, 'node') ?? '?'}`,
    colour: 'red',
  }),
  missed: (event) => ({
    ...BLANK,
    sign: '✖',
    what: 'missed',
    took: between(event),
    note: missedNote(event),
    colour: 'red',
  }),
  partial: (event) => ({
    ...BLANK,
    sign: '✖',
    what: 'partial',
    note: `node ${textIn(event, 'node') ?? '?'}: frames of ${count(numberIn(event, 'watched') ?? 0)} of ${counted(event, 'sessions', 'session')}`,
    colour: 'yellow',
  }),
  back: (event) => ({ ...BLANK, what: 'back', note: `node ${textIn(event, 'node') ?? '?'} answers`, colour: 'green' }),
};

function unknown(event: SeenEvent): Cells {
  const { at: _at, event: name, node: _node, session: _session, user: _user, device: _device, ...rest } = event;
  const note = JSON.stringify(rest);
  return { ...BLANK, what: String(name), note: note === '{}' ? '' : note };
}

function step(what: string, event: SeenEvent): Cells {
  return { ...BLANK, what, id: textIn(event, 'id') ?? '', size: bytes(event), note: textIn(event, 'log') ?? '' };
}

function missedNote(event: SeenEvent): string {
  const reason = textIn(event, 'reason') ?? '';
  if (reason === 'connection_lost') {
    const [from, to] = ['from', 'to'].map((field) => clockOf(event, field).slice(0, 8));
    return `${from} to ${to}, the connection was cut`;
  }
  return `node ${textIn(event, 'node') ?? '?'}: ${MISSED[reason] ?? reason}`;
}

const MISSED: Readonly<Record<string, string>> = {
  unreachable: 'it does not answer',
  version: 'it is too old to be asked',
  too_many_watches: 'it is watched by as many as it serves',
  failed: 'it failed',
};

function between(event: SeenEvent): string {
  const [from, to] = [numberIn(event, 'from'), numberIn(event, 'to')];
  return from === undefined || to === undefined ? '' : time(to - from);
}

/** The log, where it is not the one of the session's user. */
function ownLog(event: SeenEvent): string {
  const log = textIn(event, 'log') ?? '';
  return log === `user:${textIn(event, 'user')}` ? '' : log;
}

function bytes(event: SeenEvent): string {
  const value = numberIn(event, 'bytes');
  return value === undefined ? '' : size(value);
}

function duration(event: SeenEvent, field: string): string {
  const ms = numberIn(event, field);
  return ms === undefined ? '' : time(ms);
}

function from(event: SeenEvent): string {
  const peer = textIn(event, 'peer');
  return peer === undefined ? '' : `from ${peer}`;
}

function code(event: SeenEvent): string {
  const value = numberIn(event, 'code') ?? 0;
  return value === 0 ? '' : `code ${value}`;
}

/** `1-8802…8820`, or both ends whole where their epochs differ. */
function span(event: SeenEvent): string {
  const [after = '?', upTo = '?'] = ['after', 'upTo'].map((field) => textIn(event, field));
  const epoch = after.slice(0, after.indexOf('-') + 1);
  return `${after}…${epoch !== '' && upTo.startsWith(epoch) ? upTo.slice(epoch.length) : upTo}`;
}

/** Messages in a gap, where both ends are of one epoch. */
function lost(event: SeenEvent): string {
  const [after, upTo] = ['after', 'upTo'].map((field) => /^(\d+)-(\d+)$/.exec(textIn(event, field) ?? ''));
  if (!after || !upTo || after[1] !== upTo[1]) return '';
  const messages = Number(upTo[2]) - Number(after[2]);
  return `${count(messages)} ${messages === 1 ? 'message' : 'messages'}`;
}

function counted(event: SeenEvent, field: string, word: string): string {
  const value = numberIn(event, field) ?? 0;
  return `${count(value)} ${word}${value === 1 ? '' : 's'}`;
}

function pair(one: string | undefined, other: string | undefined): string {
  return [one, other].filter((part) => part !== undefined).join(' ');
}

function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(', ');
}

function clockOf(event: SeenEvent, field: string): string {
  const ms = numberIn(event, field);
  return ms === undefined ? '--:--:--.---' : clock(ms);
}
