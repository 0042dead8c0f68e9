// Rows of the error table about single messages, their traces and single nodes: a part of error-table.ts, in a file of its own for its length.

import { Exit, row } from './error-row.js';

const { IMPOSSIBLE, USAGE } = Exit;

/** What looking at one message may fail with. */
export const TRACE = {
  message_not_found: row(
    404,
    IMPOSSIBLE,
    'No message {id}[: {detail}].',
    'The log never had a message of that id, or is long forgotten; of a message that is not stored only a trace is kept, for an hour.',
    ['imgo push prints the id of what it pushed', 'the full name of a message is LOG@ID, as in user:123456@1-42'],
  ),
  message_gone: row(
    410,
    IMPOSSIBLE,
    'Message {id} is not kept any more: {detail}.',
    'A message is kept until all devices of its user acknowledged it, until it expires, or until the log is over its bounds.',
    ['imgo trace LOG@ID says what became of it', 'delivery.ttl and delivery.keep set how long messages are kept'],
  ),
  node_unknown: row(404, IMPOSSIBLE, 'No node {node}.', 'No node of that name is there, or was a minute ago.', [
    'imgo nodes lists them',
  ]),
  message_name_invalid: row(
    400,
    USAGE,
    'That is not the name of a message[: {detail}].',
    'The name of a message is LOG@ID: its log (user:U, room:R or all) and its id there, or t-MARK of one that is not stored.',
    ['user:123456@1-42', 'room:live://1000@1-7', 'all@1-3'],
  ),
} as const;
