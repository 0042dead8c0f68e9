// Rows of the error table of those who look at a running server: a part of error-table.ts, in a file of its own for its length.

import { Exit, retry, row } from './error-row.js';

const { IMPOSSIBLE, REFUSED, RUNTIME, USAGE } = Exit;

/** What watching may be refused for. */
export const OBSERVE = {
  watch_too_wide: row(
    422,
    USAGE,
    'The filter matches {sessions} sessions; frames are shown of at most {limit}.',
    'A stream with frames of more sessions would be cut into pieces that nobody can read.',
    [
      'name users, sessions, rooms or nodes',
      'imgo tail --sample 1%, or sample=0.01, takes one session of a hundred',
      'or leave out the event frame',
    ],
  ),
  too_many_watches: retry(
    503,
    RUNTIME,
    'Node {node} is watched by as many as it serves at a time: {limit}.',
    'Each stream of events has a buffer at every node; their number is bounded.',
    ['end a stream that nobody reads', 'try again later'],
  ),
  too_many_streams: retry(
    429,
    RUNTIME,
    'This logic sends as many streams of events as it may at a time: {limit}.',
    'Each stream of events takes memory at every node; their number is bounded.',
    ['end a stream that nobody reads', 'ask another logic'],
  ),
  payloads_hidden: row(
    403,
    REFUSED,
    'Payloads are not shown by this server: observe.payloads is "hidden".',
    'What messages say is shown to those who watch only where the operator allows it.',
    ['set observe.payloads = "allowed"', 'without payload=full everything else is shown'],
  ),
  server_too_old: row(
    501,
    IMPOSSIBLE,
    'The server at {url} is too old for this: it has no {path}.',
    'The command is newer than the server that it asked.',
    ['upgrade the server', 'or use the imgo of its version; /openapi.json describes what it has'],
  ),
} as const;
