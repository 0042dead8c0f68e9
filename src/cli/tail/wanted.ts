// Which events a view shows, and which a search finds. A filter is words that must all be found in what an event says of
// itself: `push`, `in`, `#2` (the session with that number), `>50ms` (what took longer), and `!` before what must not be.

import { parseDuration } from '../../server/units.js';
import { isOfTheStream, numberIn, payloadOf, readEvent, type SeenEvent, textIn } from './event.js';

/** What is asked for. */
export interface Wanted {
  readonly heartbeats: boolean;
  readonly frames: boolean;
  /** As typed. */
  readonly filter: string;
}

/** Decides of one event by its name and its line. */
export type Decision = (name: string, text: string) => boolean;

const FIELDS = [
  'name',
  'direction',
  'session',
  'user',
  'device',
  'node',
  'log',
  'id',
  'room',
  'reason',
  'comet',
  'peer',
];

/** `numberOf`: the number of a session in the table. What a stream says of itself is always shown. */
export function decisionOf(wanted: Wanted, numberOf: (session: string) => number | undefined): Decision {
  const terms = wanted.filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '!')
    .map((word) => termOf(word, numberOf));
  return (name, text) => {
    if (name === 'frame') {
      if (!wanted.frames || (!wanted.heartbeats && isHeartbeat(name, text))) return false;
    } else if (isOfTheStream(name)) {
      return true;
    }
    if (terms.length === 0) return true;
    const event = readEvent(text);
    return event !== undefined && terms.every((term) => term(event));
  };
}

/** True for a heartbeat, without reading all of its line. */
export function isHeartbeat(name: string, text: string): boolean {
  return name === 'frame' && text.includes('"name":"heartbeat');
}

type Term = (event: SeenEvent) => boolean;

function termOf(word: string, numberOf: (session: string) => number | undefined): Term {
  if (word.startsWith('!')) {
    const term = termOf(word.slice(1), numberOf);
    return (event) => !term(event);
  }
  if (/^#\d+$/.test(word)) return (event) => String(numberOf(textIn(event, 'session') ?? '')) === word.slice(1);
  const longer = word.startsWith('>') ? parseDuration(word.slice(1)) : undefined;
  if (longer !== undefined) {
    return (event) => ['ms', 'sweepMs', 'openMs'].some((field) => (numberIn(event, field) ?? -1) > longer);
  }
  if (word === 'in' || word === 'out') return (event) => event['direction'] === word;
  return (event) => saysOf(event).includes(word);
}

function saysOf(event: SeenEvent): string {
  return [event.event, ...FIELDS.map((field) => textIn(event, field) ?? '')].join('\n').toLowerCase();
}

/** Finds a text in everything of an event, its payload included. */
export function searchOf(text: string): Decision {
  const sought = text.toLowerCase();
  return (_name, line) => {
    if (line.toLowerCase().includes(sought)) return true;
    if (!line.includes('"body":"')) return false;
    const event = readEvent(line);
    return (event && payloadOf(event))?.toString('utf8').toLowerCase().includes(sought) ?? false;
  };
}
