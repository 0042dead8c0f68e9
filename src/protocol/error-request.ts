// Rows of the error table about what a request says: a part of error-table.ts, in a file of its own for its length.

import { Exit, row } from './error-row.js';

const { USAGE } = Exit;

/** What may be wrong with what a caller asks for. */
export const REQUEST = {
  invalid_json: row(
    400,
    USAGE,
    'The body is not valid JSON[: {detail}].',
    'A request or one of its lines could not be read as JSON in UTF-8.',
    ['to send text that is not JSON: imgo push --text', 'bytes go in "base64" in place of "message"'],
  ),
  json_too_deep: row(
    400,
    USAGE,
    'The JSON nests deeper than {limit}.',
    'Arrays and objects may nest 64 deep; deeper texts are refused before they are parsed.',
    ['send it as text: imgo push --text'],
  ),
  not_json: row(
    400,
    USAGE,
    'The message is not JSON[: {detail}].',
    'imgo push takes JSON unless told otherwise, so that a missing quote is not sent to every client.',
    ['imgo push --text to send it as a JSON string', 'imgo push --base64 to send bytes'],
  ),
  invalid_request: row(
    400,
    USAGE,
    'The request is not valid: {detail}.',
    'A field is missing, has another type than the API describes, or is out of range.',
    ['GET /openapi.json describes every call'],
  ),
  unknown_field: row(
    400,
    USAGE,
    '{field} is not a field of this request.[ Did you mean {nearest}?]',
    'A field that the API does not know is refused, because ignoring it would hide a misspelling.',
    ['GET /openapi.json describes every call'],
  ),
  invalid_user: row(
    400,
    USAGE,
    'That is not a user id[: {detail}].',
    'A user id is 1 to 128 bytes of UTF-8 without control characters.',
    ['integers are given as strings: "123456"'],
  ),
  invalid_room: row(
    400,
    USAGE,
    'That is not a room name[: {detail}].',
    'A room name is 1 to 128 bytes of UTF-8 without control characters.',
    ['in a URL encode it, or give it as ?room='],
  ),
  invalid_device: row(
    400,
    USAGE,
    'That is not a device name[: {detail}].',
    'A device name is 1 to 128 bytes of UTF-8 without control characters.',
  ),
  invalid_id: row(
    400,
    USAGE,
    '{value} is not a message id.',
    'A message id is epoch-n, as in 1-42; its full name is LOG@epoch-n, as in user:123456@1-42.',
  ),
  invalid_target: row(
    400,
    USAGE,
    'A push needs exactly one target: a user, users, a room, or all.',
    'The target was missing, or more than one kind of target was given.',
    ['imgo push --user U, --users-file F, --room R or --all', '{"to":{"user":"1"}} over HTTP'],
  ),
  too_many_targets: row(
    400,
    USAGE,
    '{count} users in one push; the limit is {limit}.',
    'One push may name a bounded number of users, so that one request cannot hold up the others.',
    ['split it: imgo push --lines, or POST /v1/push/batch'],
  ),
  invalid_ttl: row(
    400,
    USAGE,
    'That is not a time to live[: {detail}].',
    'A time to live is a number with a unit: 90s, 15m, 12h, 7d; 0 for messages that are never stored.',
    ['{"ttl":"7d"}', 'imgo push --ttl 7d'],
  ),
  invalid_operation: row(
    400,
    USAGE,
    '{value} is not an operation for a push.',
    'goim operations of a push are 4, 5 and from 1000 on; the others belong to the protocol.',
  ),
  idempotency_key_invalid: row(
    400,
    USAGE,
    'That is not an idempotency key[: {detail}].',
    'An idempotency key is 1 to 128 visible characters.',
    ['imgo push --idempotency-key auto makes one'],
  ),
  token_weak: row(
    400,
    USAGE,
    'The token is shorter than {limit} bytes.',
    'A caller may choose a token only if it cannot be guessed.',
    ['let the server make it: imgo token create --user U', 'auth.weak_tokens = true allows it, for benchmarks'],
  ),
  payload_too_large: row(
    413,
    USAGE,
    'The message has {size} bytes; the limit is {limit}.',
    'Messages are bounded so that one cannot hold up all who receive it.',
    ['limits.payload sets it', 'send a link to what is large'],
  ),
  request_too_large: row(
    413,
    USAGE,
    'The request is larger than {limit} bytes.',
    'A request body is bounded; a batch is read line by line and has no such bound on the whole.',
    ['split it, or use POST /v1/push/batch'],
  ),
  unsupported_media_type: row(
    415,
    USAGE,
    'This call does not take that content type.',
    'The native API reads application/json, and batches as application/x-ndjson.',
    ['send the header Content-Type: application/json'],
  ),
  method_not_allowed: row(405, USAGE, '{method} is not for this path.', 'The path exists, the method does not.', [
    'GET /openapi.json describes every call',
  ]),
} as const;
