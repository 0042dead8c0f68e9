// `npm run hostile`: 20,000 malformed or hostile connections while 100 good clients receive. The server must not crash, no
// byte may reach the wrong socket, each attacker is closed as its kind deserves, and a last round grows memory no further.
//   --rounds 3   --connections 20000   --seed N   --at-once 200
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { account, missing, type ReceiverPlan } from '../harness/account.js';
import { flagsOf } from '../harness/flags.js';
import { Journal, type PusherLine, type ReceiverLine, readJournal } from '../harness/journal.js';
import { call, type Job, Pusher } from '../harness/pusher.js';
import { seededRandom } from '../harness/random.js';
import { type Dialect, RawReceiver } from '../harness/receiver.js';
import { type RunningServer, startServer } from '../harness/server.js';
import { ATTACKS, type Attack, Line, type Target } from './attacks.js';

const { values } = flagsOf(import.meta.filename, {
  connections: { type: 'string', default: '20000' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  'at-once': { type: 'string', default: '200' },
  rounds: { type: 'string', default: '3' },
});
const connections = Number(values.connections);
const seed = Number(values.seed);
const random = seededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'imgo-hostile-'));
const pushed = new Journal<PusherLine>(join(folder, 'pushed.ndjson'));
const received = new Journal<ReceiverLine>(join(folder, 'received.ndjson'));
/** In every good message; must never be seen by an attacker. */
const MARK = 'only-for-good-clients';
const HANDSHAKE_MS = 8_000;
/** What a heap that has only just begun to be used grows by, whatever is done to it. */
const WARM_UP_BYTES = 32 * 1024 * 1024;
/** An attack that takes longer waits for an answer that does not come. */
const ATTACK_MS = 20_000;
/** Between two pushes of one pusher: a steady stream, so that a campaign of many minutes can be accounted for in memory. */
const PAUSE_MS = 20;
const problems = new Map<string, number>();
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const problem = (text: string): void => void problems.set(text, (problems.get(text) ?? 0) + 1);

let stopping = false;
try {
  process.exitCode = (await campaign()) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function campaign(): Promise<boolean> {
  say(`hostile campaign: seed ${seed}, ${connections} connections a round, ${ATTACKS.length} kinds`);
  const server = await startServer(['--data', join(folder, 'data'), '--http', '0', '--ws', '0', '--tcp', '0'], {
    XDG_STATE_HOME: join(folder, 'state'),
    IMGO_LIMITS__HANDSHAKE: `${HANDSHAKE_MS}ms`,
    IMGO_LIMITS__SESSIONS_PER_USER: '10000',
  });
  const { receivers, plans, target } = await prepare(server);
  for (const receiver of receivers) receiver.start();
  while (!receivers.every((receiver) => receiver.open)) await sleep(20);

  const pusher = new Pusher(() => server.ready.http, pushed);
  const pushing = pusher.run(jobs(), 4, PAUSE_MS);
  const memory: number[] = [];
  for (let round = 1; round <= Number(values.rounds); round++) {
    await attackAll(target);
    await sleep(HANDSHAKE_MS);
    memory.push(residentBytes(server.ready.pid));
    say(
      `round ${round}: ${connections} connections, resident ${(memory.at(-1) ?? 0) >> 20} MiB, ${pusher.accepted} pushes accepted`,
    );
  }
  stopping = true;
  await pushing;
  const reconnects = receivers.reduce((total, receiver) => total + receiver.opened - 1, 0);
  let result = judge(plans);
  for (let tries = 0; tries < 60 && missing(result) > 0; tries++) {
    await sleep(250);
    result = judge(plans);
  }
  const metrics = await call(`${server.ready.http}/metrics`, 'GET', undefined);
  for (const receiver of receivers) receiver.stop();
  const status = await server.end('SIGTERM');
  say(
    metrics.body
      .split('\n')
      .filter((line) => /closed|refused/.test(line) && !line.startsWith('#'))
      .join('\n'),
  );
  say(JSON.stringify(result, null, 2));
  for (const [text, count] of problems) say(`PROBLEM ${text}: ${count}`);
  // The first rounds size the heap and compile the code; what still grows after that is a leak.
  const [before = 0, last = 0] = memory.slice(-2);
  const growth = last / before;
  const promises: readonly (readonly [string, boolean])[] = [
    ['the server lived and stopped cleanly', status === 0],
    ['good clients lost nothing', missing(result) === 0],
    [
      'no byte went to the wrong socket',
      result.native.foreign + result.legacy.foreign + result.native.wrongPayload === 0,
    ],
    ['good clients were never disconnected', reconnects === 0],
    ['every attacker ended as its kind deserves', problems.size === 0],
    [`the last round grew memory no further (x ${growth.toFixed(2)})`, growth < 1.15 || last - before < WARM_UP_BYTES],
    ['broadcasts went on, in order', result.broadcasts.delivered > 0 && result.broadcasts.outOfOrder === 0],
    ['good clients were pushed to meanwhile', result.native.expected > 0],
  ];
  for (const [promise, holds] of promises) say(`${holds ? 'ok    ' : 'FAILED'} ${promise}`);
  return promises.every(([, holds]) => holds);
}

async function prepare(
  server: RunningServer,
): Promise<{ receivers: RawReceiver[]; plans: ReceiverPlan[]; target: Target }> {
  const token = async (user: string, more: object = {}): Promise<string> => {
    const answer = await call(`${server.ready.http}/v1/tokens`, 'POST', JSON.stringify({ user, ttl: '1d', ...more }));
    if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.body}`);
    return (JSON.parse(answer.body) as { token: string }).token;
  };
  const kinds: readonly (readonly [Dialect, 'tcp' | 'ws'])[] = [
    ['native', 'tcp'],
    ['native', 'ws'],
    ['imgo', 'tcp'],
    ['imgo', 'ws'],
    ['goim1', 'ws'],
    ['goim2', 'tcp'],
    ['goim2', 'ws'],
  ];
  const receivers: RawReceiver[] = [];
  const plans: ReceiverPlan[] = [];
  for (let index = 0; index < 100; index++) {
    const [dialect, transport] = kinds[index % kinds.length] as (typeof kinds)[number];
    const user = String(500_000 + index);
    const native = dialect === 'native';
    const rooms = native ? ['hall'] : [];
    const secret = await token(user, native ? { device: 'd', rooms } : {});
    const who = `${user}/${dialect}-${transport}`;
    const common = {
      who,
      dialect,
      transport,
      address: () => server.ready,
      token: secret,
      user,
      rooms,
      journal: received,
    };
    receivers.push(new RawReceiver(native ? { ...common, device: 'd' } : common));
    plans.push({ who, user, native, rooms });
  }
  const address = (text: string): { host: string; port: number } => {
    const url = new URL(text.includes('//') ? text : `tcp://${text}`);
    return { host: url.hostname, port: Number(url.port) };
  };
  const { tcp, ws } = server.ready;
  return { receivers, plans, target: { tcp: address(tcp), ws: address(ws), token: await token('666') } };
}

function* jobs(): Generator<Job> {
  for (let no = 1; !stopping; no++) {
    // Broadcasts reach attackers as well, so that sweeps meet connections that are being closed.
    if (no % 15 === 0) {
      yield { to: 'all', message: JSON.stringify({ no, text: 'for everybody' }) };
      continue;
    }
    const to = no % 10 === 0 ? 'room:hall' : `user:${500_000 + (no % 100)}`;
    yield { to, message: JSON.stringify({ no, mark: MARK }) };
  }
}

async function attackAll(target: Target): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < connections) {
      const attack = ATTACKS[next++ % ATTACKS.length] as Attack;
      if (random() < 0.1) await sleep(random() * 10);
      await one(attack, target);
    }
  };
  await Promise.all(Array.from({ length: Number(values['at-once']) }, worker));
}

async function one(attack: Attack, target: Target): Promise<void> {
  const { host, port } = target[attack.transport];
  const line = new Line(host, port);
  const done = await Promise.race([attack.run(line, target).then(() => true), sleep(ATTACK_MS).then(() => false)]);
  if (!done) problem(`${attack.name}: did not get through in ${ATTACK_MS} ms`);
  const patience = attack.ends === 'stays' ? 50 : attack.ends === 'deadline' ? HANDSHAKE_MS * 4 : 15_000;
  const ended = await Promise.race([line.closed.then(() => true), sleep(patience).then(() => false)]);
  if (attack.ends === 'stays' && ended) problem(`${attack.name}: closed, though it did nothing wrong`);
  if (attack.ends !== 'stays' && !ended) problem(`${attack.name}: still open after ${patience} ms`);
  if (attack.ends === 'refused' && !((line.status ?? 0) >= 400)) problem(`${attack.name}: answered ${line.status}`);
  if (attack.code !== undefined) {
    const wanted = typeof attack.code === 'number' ? [attack.code] : attack.code;
    if (!wanted.includes(line.closeCode ?? 0))
      problem(`${attack.name}: close code ${line.closeCode}, not ${wanted.join(' or ')}`);
  }
  if (line.received.includes(MARK)) problem(`${attack.name}: received a message of a good client`);
  line.socket.destroy();
}

function judge(plans: readonly ReceiverPlan[]): ReturnType<typeof account> {
  pushed.flush();
  received.flush();
  return account(
    readJournal<PusherLine>(join(folder, 'pushed.ndjson')),
    readJournal<ReceiverLine>(join(folder, 'received.ndjson')),
    plans,
  );
}

/** Memory of the process's own: pages of the store's file, which the system may take back, do not count. */
function residentBytes(pid: number): number {
  const match = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1_024;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
