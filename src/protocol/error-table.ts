// THE error table: messages, `imgo explain CODE`, JSON output, problem documents and docs are all made from it.
// {name} is a parameter; [ … ] is left out when a parameter inside it is missing; an advice line that lacks one is too.
// Commands are spelled `imgo …`; the command line replaces that with the form that was typed.

import { KAFKA } from './error-kafka.js';
import { MACHINE } from './error-machine.js';
import { OBSERVE } from './error-observe.js';
import { REDIS } from './error-redis.js';
import { REQUEST } from './error-request.js';
import { type ErrorRow, Exit, retry, row } from './error-row.js';
import { TRACE } from './error-trace.js';

const { RUNTIME, USAGE, UNREACHABLE, REFUSED, IMPOSSIBLE, PARTLY, TIMEOUT, INTERRUPTED } = Exit;

const ACCESS = {
  key_missing: row(
    401,
    REFUSED,
    'This server needs an API key.',
    'Every call to a server with keys carries one, as Bearer or as the password of Basic.',
    ['--key-file F, or IMGO_KEY'],
  ),
  key_invalid: row(
    401,
    REFUSED,
    'The server does not know this key.',
    'The key is misspelled, was revoked or has expired, or belongs to another server.',
    ['imgo key list, with an admin key', 'imgo key create --scope admin in the data folder of a stopped server'],
  ),
  scope_missing: row(
    403,
    REFUSED,
    'This key may {scopes}, not {needed}.',
    'Keys have scopes: push, token, read, admin; this call needs one that the key lacks.',
    ['imgo key create --scope {scope}'],
  ),
  token_refused: row(
    401,
    REFUSED,
    'The server refused the token.',
    'The token is unknown, was revoked, or has expired.',
    [],
    'It does not say why to a client; with a key: imgo token inspect -',
  ),
  host_refused: row(
    403,
    REFUSED,
    'The Host header names another server.',
    'Without a key only requests to this machine are answered, so that no web page can reach it by a name of its own.',
    ['call it by the address that serve printed'],
  ),
  origin_refused: row(
    403,
    REFUSED,
    'Pages of this origin may not call this server.',
    'Browsers say which page a request comes from; only the origins listed are answered.',
    ['imgo serve --origin https://app.example.com', 'listen.origins in imgo.toml'],
  ),
  join_refused: row(
    403,
    REFUSED,
    'This session may not join that room.',
    'A token lists the rooms that its sessions may join.',
    ['imgo token create --room R', 'rooms.join = "open" lets every session join'],
  ),
  too_many_rooms: row(
    409,
    REFUSED,
    'This session is in {limit} rooms; that is the limit.',
    'The number of rooms a session may be in is bounded.',
    ['leave one first', 'limits.rooms_per_session sets it'],
  ),
  rate_limited: retry(
    429,
    REFUSED,
    'Too many requests[; try again in {seconds} s].',
    'The caller is above the rate that it may have.',
    ['wait as long as Retry-After says'],
  ),
  disconnected: row(
    403,
    REFUSED,
    'The server closed the connection: {reason}.',
    'The server ended the session and asked the client not to come back.',
    ['imgo explain {code}'],
  ),
} as const;

const STATE = {
  not_found: row(404, IMPOSSIBLE, 'There is nothing at {path}.', 'No such path.', [
    'GET /openapi.json describes every call',
  ]),
  session_not_found: row(404, IMPOSSIBLE, 'No session {id}.', 'The session has ended, or never was.', [
    'imgo sessions --user U',
  ]),
  token_not_found: row(404, IMPOSSIBLE, 'No token {id}.', 'The token was never made here, or is long forgotten.', [
    'imgo token list',
  ]),
  key_not_found: row(404, IMPOSSIBLE, 'No key {id}.', 'The key was never made here, or was revoked.', [
    'imgo key list',
  ]),
  token_taken: row(
    409,
    IMPOSSIBLE,
    'This token belongs to another user.',
    'A token that a caller chose can be renewed for its user, not given to another.',
    ['choose another token'],
  ),
  idempotency_mismatch: row(
    422,
    IMPOSSIBLE,
    'This idempotency key was used for another message.',
    'One key stands for one message for 24 h; repeating it with another body is a mistake of the caller.',
    ['use a new key for a new message'],
  ),
  idempotency_full: retry(
    503,
    RUNTIME,
    'Not accepted: no room for another idempotency key.',
    'Idempotency records are bounded in bytes, and forgetting one early could deliver a message twice.',
    ['try again later', 'push without a key where a duplicate does no harm'],
  ),
  outcome_unknown: retry(
    504,
    RUNTIME,
    'The outcome is unknown: the message may be delivered.',
    'The message was handed on and no confirmation came in time.',
    ['with an idempotency key, repeat it: it cannot be delivered twice'],
  ),
  overloaded: retry(
    503,
    RUNTIME,
    'Not accepted: the server is at its limit ({reason}).',
    'Queues are bounded; what would not fit is refused rather than lost.',
    ['wait as long as Retry-After says'],
  ),
  shutting_down: retry(
    503,
    RUNTIME,
    'Not accepted: the server is stopping.',
    'The server finishes what it has accepted and takes nothing new.',
    ['try again when it is back'],
  ),
  store_full: retry(
    507,
    RUNTIME,
    'Not accepted: the disk of {data} has {free} left (needs {needed}). Deliveries and reads go on.',
    'A push is accepted only when it can be kept; nothing that was accepted is touched.',
    ['make space on the disk: pushes are accepted again by themselves'],
  ),
  store_failed: retry(
    503,
    RUNTIME,
    'Not accepted: a write to the store failed, and nothing is written until it is opened again.',
    'What the disk holds is not known, so nothing more is built on it. Everything that was answered with an id is kept.',
    ['look at the log for the cause, and at the disk', 'restart the server: the store is checked before it is opened'],
  ),
  node_unreachable: retry(
    503,
    RUNTIME,
    'Node {node} does not answer.',
    'The link to it is down, or no answer came in time: whether it did what it was asked is not known.',
    ['it is dialled again by itself; imgo nodes shows who answers'],
  ),
  node_not_found: row(404, IMPOSSIBLE, 'No node {node} that holds connections.', 'The node is gone, or is no comet.', [
    'imgo nodes lists them',
  ]),
  internal: row(
    500,
    RUNTIME,
    'Something failed inside the server[: {detail}].',
    'This is a defect, or the machine failed; the log has the cause under the request id.',
    ['the log of the server says more'],
  ),
} as const;

const START = {
  node_too_old: row(
    500,
    USAGE,
    'imgo needs Node 24; this is {version} and the bundled one is not in node_modules.',
    'imgo brings its own Node, which was not installed, and the one found is too old.',
    ['npm ci --include=optional', 'install Node 24'],
    'npm leaves it out with --omit=optional, and there is none for {platform}.',
  ),
  port_in_use: row(
    500,
    IMPOSSIBLE,
    'Cannot listen on {address} ({listener}): {holder} does.',
    'Another program has the port.',
    ['--{listener} {next}', '--{listener} off if no client uses {name}'],
    'You named this port, so no other was taken.',
  ),
  listen_refused: row(
    500,
    IMPOSSIBLE,
    'Cannot listen on {address} ({listener}): {detail}.',
    'The system refused the address: it is not one of this machine, or the port needs privileges.',
    ['--{listener} HOST:PORT with an address of this machine and a port above 1023'],
  ),
  cluster_key_invalid: row(
    500,
    USAGE,
    'That is no key for this[: {detail}].',
    'Roles apart know each other by a key: the cluster has one, comets and jobs can have one of their role alone.',
    [
      'imgo key cluster --out cluster.key makes one',
      'imgo key cluster --role comet --from cluster.key --out comet.key',
    ],
  ),
  link_refused: retry(
    503,
    UNREACHABLE,
    'No link between this node and {node}: {why}.',
    'Nodes say who they are and prove it with a key before anything else.',
    ['cluster.key_file must be of one cluster on all nodes', 'imgo nodes shows their versions'],
  ),
  node_taken: row(
    500,
    IMPOSSIBLE,
    'Another process is node {node} now[, at {address}].',
    'Two nodes had one name; the one that joined last has it, and the other one writes nothing more.',
    ['give each node a name of its own: cluster.node', 'without a name each start makes one up'],
  ),
  key_required: row(
    500,
    USAGE,
    'Refusing to listen on {host} without an API key.',
    'Off loopback every call needs a key, so there has to be one.',
    ['imgo key create --scope admin --out imgo.key, then --key-file imgo.key'],
    'Anyone who reaches port {port} could push to every user.',
  ),
  data_locked: row(
    500,
    IMPOSSIBLE,
    '{data} is in use by imgo {version}, pid {pid}[, since {since}][ ({url})].',
    'One server holds a data folder at a time.',
    ['use it: imgo status', 'imgo serve --data {other} --http 0 --ws 0 --tcp 0'],
    'Two servers on one store would lose messages.',
  ),
  data_newer: row(
    500,
    IMPOSSIBLE,
    '{data} was written by a newer imgo (format {found}; this one reads up to {known}).',
    'The data folder has a format that this version does not know; nothing in it was touched.',
    ['start the newer version', 'imgo serve --data {other} for an empty store'],
  ),
  data_damaged: row(
    500,
    IMPOSSIBLE,
    '{data} is damaged: {detail}.',
    'The store was checked before it was opened and is not what was written; nothing in it was touched.',
    ['restore a backup of the folder', 'imgo serve --data {other} for an empty store'],
  ),
  data_unusable: row(
    500,
    IMPOSSIBLE,
    'Cannot use {data}: {detail}.',
    'The data folder cannot be made, read or written.',
    ['imgo serve --data DIR', 'imgo serve --memory keeps nothing'],
  ),
  config_unreadable: row(
    500,
    USAGE,
    'Cannot read {file}: {detail}.',
    'The configuration named does not exist, may not be read, or is not TOML.',
    ['imgo config check --config FILE'],
  ),
  config_unknown: row(
    500,
    USAGE,
    '{where}: {key} is not a setting.[ Did you mean {nearest}?]',
    'A setting that does not exist is refused, because ignoring it would hide a misspelling.',
    ['imgo config show lists every setting'],
  ),
  config_invalid: row(500, USAGE, '{where}: {key} {detail}.', 'A setting has a value that it cannot have.', [
    'imgo config show prints every setting with its unit',
  ]),
} as const;

const COMMAND = {
  bench_too_big: row(
    500,
    IMPOSSIBLE,
    '{conns} connections are more than this machine holds.',
    'What a run uses is worked out before its first socket, and each limit in the way is named with the knob that moves it. None was changed.',
    [
      'imgo bench --conns {holds}',
      '--conns max is as many as it holds',
      '--best-effort takes fewer where there is no room for all',
    ],
  ),
  bench_assertion: row(
    500,
    USAGE,
    '{text} is not an assertion: {detail}.[ Did you mean {nearest}?]',
    'An assertion is a metric of a run, an operator and a value: p99<200ms. One that cannot be read is told before the run.',
    ["imgo bench --assert 'p99<200ms' --assert 'lost==0'", 'metrics: {metrics}'],
  ),
  bench_no_result: row(
    500,
    USAGE,
    '{file} is not a result of imgo bench: {detail}.',
    'Results are compared only when both are what a run wrote, whole and in the format that this version reads.',
    ['imgo bench --out F.json writes one'],
  ),
  report_unwritable: row(
    500,
    USAGE,
    'Cannot write {file}: {detail}.',
    'Where a report goes is looked at before the run starts, so that no run is lost to it.',
    ['name a file in a folder that exists and may be written'],
  ),
  bench_no_clients: row(
    500,
    UNREACHABLE,
    '{url} lets no {dialect} client in over {transport}: {detail}.',
    'Before a run one client connects with a token of its own, where thousands are to follow.',
    ['--clients URL, if its clients connect elsewhere', '--transport, --dialect'],
    'Its HTTP API answers.',
  ),
  usage: row(500, USAGE, '{detail}', 'The command line cannot be understood as it is.', ['imgo {command} --help']),
  unreachable: retry(
    503,
    UNREACHABLE,
    'No imgo server found.',
    'Nothing answered where the command looked for a server.',
    ['imgo serve', '--server URL'],
    'Tried {tried}.',
  ),
  several_servers: row(
    500,
    USAGE,
    'Several imgo servers run here: {servers}.',
    'The command cannot know which one is meant.',
    ['--server URL', 'IMGO_SERVER=URL'],
  ),
  bad_answer: row(
    502,
    RUNTIME,
    '{url} does not answer as imgo does[: {detail}].',
    'Something else listens there, or a proxy stands between.',
    ['--server URL'],
  ),
  file_unreadable: row(500, USAGE, 'Cannot read {file}: {detail}.', 'A file that a flag names cannot be read.'),
  file_exists: row(
    500,
    IMPOSSIBLE,
    '{file} exists already.',
    'A key, a token or a template is never written over a file that is there.',
    ['choose another name, or remove it first'],
  ),
  file_unwritable: row(
    500,
    IMPOSSIBLE,
    'Cannot write {file}: {detail}.',
    'A file could not be written where it should be.',
  ),
  partial: row(
    500,
    PARTLY,
    '{failed} of {total} were not accepted.',
    'Part of a bulk was accepted, part was not; the output says which.',
    ['repeat those that failed: with the same idempotency keys nothing is delivered twice'],
  ),
  timeout: retry(504, TIMEOUT, 'Nothing more in {duration}.', 'The time given with --timeout or --wait ran out.', [
    '--timeout D allows more',
  ]),
  interrupted: row(500, INTERRUPTED, 'Interrupted.', 'The command was stopped by a signal.'),
} as const;

/** The table, by code. */
export const ERRORS = {
  ...REQUEST,
  ...ACCESS,
  ...STATE,
  ...START,
  ...COMMAND,
  ...MACHINE,
  ...KAFKA,
  ...REDIS,
  ...OBSERVE,
  ...TRACE,
} as const satisfies Record<string, ErrorRow>;

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;
