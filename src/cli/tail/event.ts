// An event as it is read here: from a server of any version, so nothing of it is taken for granted but that it has a name.
// What is not known is shown as it came.

/** Any event: its name, and fields of any kind. */
export interface SeenEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The name of the event on a line, without reading all of it; undefined when it is none. */
export function nameOf(line: string): string | undefined {
  // It comes first; a stream of another version may have it elsewhere.
  return (/^\{"event":"(\w+)"/.exec(line) ?? /"event":"(\w+)"/.exec(line))?.[1];
}

/** The event of a line, or undefined when it is none. */
export function readEvent(line: string): SeenEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isEvent = typeof value === 'object' && value !== null && 'event' in value && typeof value.event === 'string';
    return isEvent ? (value as SeenEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** A field that is a text. */
export function textIn(event: SeenEvent, field: string): string | undefined {
  const value = event[field];
  return typeof value === 'string' ? value : undefined;
}

/** A field that is a number. */
export function numberIn(event: SeenEvent, field: string): number | undefined {
  const value = event[field];
  return typeof value === 'number' ? value : undefined;
}

/** The payload of a frame, where it was asked for and allowed. */
export function payloadOf(event: SeenEvent): Buffer | undefined {
  const body = textIn(event, 'body');
  return body === undefined ? undefined : Buffer.from(body, 'base64');
}

/** Stream events say something of the stream itself; they are never counted. */
const OF_THE_STREAM: ReadonlySet<string> = new Set(['watching', 'dropped', 'missed', 'back', 'partial', 'keepalive']);

/** True for what a stream says of itself. */
export function isOfTheStream(name: string): boolean {
  return OF_THE_STREAM.has(name);
}
