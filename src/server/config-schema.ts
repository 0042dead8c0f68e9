// THE schema: every setting that exists, with its default, unit and description. imgo.toml, IMGO_* and flags are all read
// by it; `config show`, the docs and the nearest name of a misspelled key come from it. A setting that is not here
// does not exist.

import { isIP } from 'node:net';
import { z } from 'zod';
import {
  choice,
  count,
  countOrAuto,
  duration,
  list,
  listener,
  listenersOf,
  optionalText,
  rate,
  share,
  size,
  span,
  text,
  toggle,
} from './config-kinds.js';

const isHost = (value: string): boolean =>
  isIP(value) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(value);
const isOrigin = (value: string): boolean => {
  if (value === 'same-host' || value === '*') return true;
  return URL.canParse(value) && new URL(value).origin === value;
};

function group<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape).prefault({} as never);
}

const listen = group({
  host: text('127.0.0.1', 'Where to listen. Anything but loopback needs an API key.', 'host name or address', isHost),
  http: listener(7172, 'The HTTP API.'),
  ws: listener(8090, 'WebSocket clients, at /sub.'),
  tcp: listener(8080, 'TCP clients.'),
  goim: listener('off', 'goim clients, both transports on one port. Trusts the user id that the client states.'),
  legacy_http: listener('off', "The routes of imgo's and goim's callers without a key, on a port of their own."),
  origins: list(
    ['same-host'],
    'Pages that browsers may connect from. same-host: clients from any port of the host, API calls from its own only.',
    '"same-host", "*" or origins such as "https://app.example.com"',
    isOrigin,
  ),
  tryit: toggle(
    true,
    'The page at / of the HTTP port, for trying the server out. Where there are API keys it asks for one.',
  ),
});

const auth = group({
  token_ttl: duration('30d', 'How long a token lives unless its maker says otherwise.', 1_000),
  weak_tokens: toggle(false, 'Lets callers choose tokens under 16 bytes. For benchmarks.'),
});

const limits = group({
  max_conns: countOrAuto('Client connections; "auto" is what the descriptor limit allows.'),
  reserve_fds: count(256, 'File descriptors kept back from client connections.', 16, 1_000_000),
  frame: size('64KiB', 'A frame or WebSocket message from a client.', 1_024, 2 ** 24),
  payload: size('64KiB', 'A message in a push.', 1, 2 ** 24),
  handshake: duration('5s', 'Time for a new connection to authenticate.', 100),
  idle: duration('5m', 'A client that says nothing for so long is closed.', 1_000),
  sessions_per_user: count(8, 'Live sessions of one user.', 1, 10_000),
  on_too_many: choice(['replace-oldest', 'reject'], 'replace-oldest', 'What happens to one session more.'),
  rooms_per_session: count(100, 'Rooms that one session may be in.', 0, 100_000),
  devices_per_user: count(
    16,
    'Devices of one user that have their own position; the least recent is forgotten.',
    1,
    // The record of a log counts them in a byte, with one for all that are anonymous.
    250,
  ),
  inbound: rate('50/s', 'Frames a second from one client; 0 is no limit.'),
  per_address: group({
    conns: count(0, 'Connections from one address; 0 is no limit.'),
    rate: rate(0, 'New connections a second from one address; 0 is no limit.'),
  }),
  lag: group({
    max: size('1MiB', 'How far a session may lag behind.', 65_536, 2 ** 30),
    policy: choice(['gap', 'disconnect'], 'gap', 'What happens to a session that lags further.'),
  }),
});

const delivery = group({
  ttl: duration('7d', 'How long a message for a user is kept at most.', 1_000),
  keep: group({
    messages: count(1_000, 'Messages kept for one user.', 1, 1_000_000),
    bytes: size('1MiB', 'Bytes kept for one user.', 65_536, 2 ** 30),
  }),
  new_device: choice(['kept', 'head'], 'kept', 'Where a new device starts: at what is kept, or at what comes next.'),
  legacy_ack: choice(
    ['drain', 'heartbeat'],
    'drain',
    'When a message counts as taken by a client that cannot acknowledge.',
  ),
  idempotency: group({
    for: duration('24h', 'How long an idempotency key is remembered.', 60_000),
    bytes: size('64MiB', 'Bytes of idempotency keys; when full, pushes with a key are refused.', 65_536),
  }),
});

const rooms = group({
  join: choice(['token', 'open'], 'token', 'Who may join a room: whom the token allows, or everybody.'),
  keep: group({
    messages: count(1_000, 'Messages kept for one room, and for all.', 1, 1_000_000),
    bytes: size('1MiB', 'Bytes kept for one room, and for all.', 65_536, 2 ** 30),
    for: duration('1h', 'How long a message for a room, or for all, is kept.', 1_000),
  }),
});

const fanout = group({
  window: duration('100ms', 'Messages of a room are gathered for so long; 0 sends at once.'),
  yield_every: count(512, 'Sockets between two turns of the event loop.', 1, 1_000_000),
  one_frame_per_write: listenersOf(['tcp', 'goim'], 'Listeners whose clients read one frame at a time; true is "tcp".'),
  frame_interval: duration('20ms', 'Between two frames to such a client, and after the answer to its authentication.'),
});

const ROLE_NAMES = ['all', 'comet', 'logic', 'job'];
const isHostPort = (value: string): boolean => /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/.test(value);
/** Names stand in keys of stores, in identities of TLS and in paths. */
const isNodeName = (value: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value);

const redis = group({
  url: optionalText(
    'Redis, as store and router of roles apart; also sentinel://HOST:PORT,HOST:PORT/NAME and cluster://HOST:PORT,HOST:PORT.',
    'Redis URL',
    (value) => /^(rediss?|sentinels?|clusters?):\/\/[^/]/.test(value),
  ),
  password_file: optionalText('File with the password, rather than in the URL.', 'file'),
  prefix: text('imgo', 'Keys begin with it: several clusters can share a Redis.', 'word', (value) =>
    /^[A-Za-z0-9._-]{1,32}$/.test(value),
  ),
});

const queue = group({
  engine: choice(['embedded', 'kafka'], 'embedded', 'What was accepted waits here: in the store itself, or in Kafka.'),
  kafka: group({
    brokers: list([], 'Kafka brokers.', 'HOST:PORT', isHostPort),
    topic: text(
      'imgo.push',
      'The topic of what was accepted; TOPIC.dead has what cannot be applied.',
      'topic name',
      (value) => /^[A-Za-z0-9._-]{1,200}$/.test(value),
    ),
    group: text('imgo-job', 'The consumer group of the jobs.', 'group name'),
    partitions: count(64, 'Partitions of a topic that is made; fixed from then on.', 1, 1_024),
    replication: countOrAuto(
      'Replicas of a topic that is made, and required; "auto": 3 where there are 3 brokers, else 1.',
      1,
    ),
    create: toggle(true, 'Makes the topic where it is missing; false: its operator does.'),
    accept_topic: optionalText(
      'Id of a topic that takes the place of the one that the store knows: its messages are a new history.',
      'topic id',
    ),
    tls: toggle(false, 'TLS to the brokers.'),
    username: optionalText('SASL user; "" is none.', 'user name'),
    password_file: optionalText('File with its password.', 'file'),
    mechanism: choice(['plain', 'scram-sha-256', 'scram-sha-512'], 'scram-sha-512', 'How the user proves itself.'),
  }),
});

const cluster = group({
  node: optionalText(
    'This node\'s name, one of its own; "" makes one up at each start.',
    'name of letters, digits, ".", "_" and "-"',
    isNodeName,
  ),
  key_file: optionalText('File with the key of the cluster (imgo key cluster), or of this role.', 'file'),
  rpc: listener(7173, 'Where other roles reach this one; on 127.0.0.1 unless a host is named.'),
  advertise: optionalText('Where others find it, when that is not where it listens.', 'HOST:PORT', isHostPort),
  logic: list([], 'For comets: where logics are, host:port or dns:NAME:PORT.', 'HOST:PORT or dns:NAME:PORT', (value) =>
    isHostPort(value.replace(/^dns:/, '')),
  ),
  encrypt: choice(
    ['remote', 'always'],
    'remote',
    'Links between roles are in TLS under the key of the cluster; "remote": but for those on loopback.',
  ),
  tls: group({
    cert: optionalText(
      'Certificate (PEM) of this node for links, rather than the key; with tls.key and tls.ca.',
      'file',
    ),
    key: optionalText('Its private key.', 'file'),
    ca: optionalText('Who signed the certificates of all nodes.', 'file'),
  }),
});

const drain = group({
  rate: rate('1000/s', 'Clients a second that leave a node which is drained.'),
  reconnect: span(['1s', '30s'], 'When native clients of such a node are to be back.'),
});

const alerts = group({
  fd_limit: share('90%', 'Descriptors in use of those that there may be, from which on it is an alert.'),
  max_conns: share('90%', 'Clients of those that limits.max_conns allows.'),
  loop_lag: duration('100ms', 'How late the event loop of a process is (p99), for 10 s.', 1),
  queue_lag: duration('5s', 'How long what was accepted waits to be applied.', 1),
  lagging: share('1%', 'Sessions of a process that take nothing.'),
  memory: share('85%', 'Memory in use, of the control group or the machine.'),
  disk: size('1GiB', 'Free disk of the store below which it is an alert.'),
  certificate: duration('14d', 'How long before its end the certificate of links is one.'),
  clock_skew: duration('1s', 'How much the clocks of two nodes differ.', 1),
});

/** Every setting, in the order in which `config show` prints them. */
export const schema = z.strictObject({
  role: list(['all'], 'What this process does.', '"all", "comet", "logic", "job"', (value) =>
    ROLE_NAMES.includes(value),
  ),
  data: text('.imgo', 'Folder of messages, tokens and keys; "memory" keeps nothing.', 'folder or "memory"'),
  shutdown_timeout: duration('30s', 'Time for a graceful stop.', 100),
  workers: countOrAuto(
    'Processes that hold connections; "auto": one a core, or as many as max_conns needs. 1: the server itself does.',
    1,
    1,
  ),
  listen,
  auth,
  limits,
  delivery,
  rooms,
  legacy: group({ default_room: text('1', "The room of imgo's clients whose token names none.", 'room name') }),
  fanout,
  redis,
  queue,
  cluster,
  drain,
  store: group({ reserve: size('256MiB', 'Free disk below which pushes are refused.') }),
  alerts,
  observe: group({
    log: group({
      level: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info', 'What is logged, to stderr.'),
      format: choice(['auto', 'json', 'pretty'], 'auto', 'auto: pretty on a terminal, else JSON.'),
    }),
    otlp: optionalText(
      'OpenTelemetry receiver that spans of traced messages go to, over HTTP; "" takes the OTEL_ variables, where they are set.',
      'http or https URL',
      (value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).username === '',
    ),
    metrics_key_file: optionalText(
      'File with a key that opens /metrics and nothing else; comets and jobs apart tell theirs to nobody else off loopback.',
      'file',
    ),
    payloads: choice(
      ['hidden', 'allowed'],
      'hidden',
      'Whether those who watch the server with an admin key may ask for what messages say.',
    ),
    trace_sample: share('0%', 'Share of pushes that are traced without being asked to.', true),
  }),
});

/** The values of all settings, in the spelling of imgo.toml; durations in ms, sizes in bytes, rates a second. */
export type Settings = z.output<typeof schema>;
