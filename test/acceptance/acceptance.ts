// `npm run acceptance`: the whole product as its users use it. A server, 1,000 users on every dialect (half of them away),
// 200,000 pushes through the command line, rooms, broadcasts and both legacy APIs, two SIGKILLs and a SIGTERM meanwhile;
// then the absent come back. Prints the account, which is computed from raw journals alone.
//   --users 1000   --pushes 200000   --seed N
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Account, account, missing, type ReceiverPlan } from '../harness/account.js';
import { flagsOf } from '../harness/flags.js';
import { fingerprint, Journal, type PusherLine, type ReceiverLine, readJournal } from '../harness/journal.js';
import { freePort } from '../harness/ports.js';
import { call } from '../harness/pusher.js';
import { seededRandom } from '../harness/random.js';
import { type Dialect, RawReceiver } from '../harness/receiver.js';
import { LAUNCHER, type Ready, type RunningServer, startServer } from '../harness/server.js';
import { Payloads } from './payloads.js';

const { values } = flagsOf(import.meta.filename, {
  users: { type: 'string', default: '1000' },
  pushes: { type: 'string', default: '200000' },
  seed: { type: 'string', default: '1' },
});
const users = Number(values.users);
const pushes = Number(values.pushes);
const seed = Number(values.seed);
const random = seededRandom(seed);
const payloads = new Payloads(seed);
const FIRST_USER = 100_000;
/** Gets more than a log keeps, on purpose, while it is away. */
const OVER_CAP_USER = String(FIRST_USER + 1);
const OVER_CAP_PUSHES = 3_000;

const KINDS: readonly { readonly dialect: Dialect; readonly transport: 'tcp' | 'ws' }[] = [
  { dialect: 'native', transport: 'tcp' },
  { dialect: 'native', transport: 'tcp' },
  { dialect: 'native', transport: 'ws' },
  { dialect: 'native', transport: 'ws' },
  { dialect: 'imgo', transport: 'tcp' },
  { dialect: 'imgo', transport: 'tcp' },
  { dialect: 'imgo', transport: 'ws' },
  { dialect: 'imgo', transport: 'ws' },
  { dialect: 'goim1', transport: 'ws' },
  { dialect: 'goim1', transport: 'ws' },
  { dialect: 'goim2', transport: 'tcp' },
  { dialect: 'goim2', transport: 'tcp' },
  { dialect: 'goim2', transport: 'ws' },
  { dialect: 'goim2', transport: 'ws' },
];

const folder = mkdtempSync(join(tmpdir(), 'imgo-acceptance-'));
const env = { XDG_STATE_HOME: join(folder, 'state') };
const pushedPath = join(folder, 'pushed.ndjson');
const receivedPath = join(folder, 'received.ndjson');
const pushed = new Journal<PusherLine>(pushedPath);
const received = new Journal<ReceiverLine>(receivedPath);
let ready: Ready | undefined;
let serving: RunningServer | undefined;
/** Pushes that somebody has an answer to. */
let answered = 0;
const say = (text: string): void => void process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  say(String(error instanceof Error ? error.stack : error));
  process.exitCode = 1;
} finally {
  serving?.child.kill('SIGKILL');
  if (process.exitCode === 0) rmSync(folder, { recursive: true, force: true });
  else say(`journals kept in ${folder}`);
}

async function run(): Promise<boolean> {
  say(`${users} users, ${pushes} pushes, seed ${seed}, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(2)}`);
  const [http, tcp, ws] = [await freePort(), await freePort(), await freePort()];
  const args = ['--data', join(folder, 'data'), '--http', `${http}`, '--tcp', `${tcp}`, '--ws', `${ws}`];
  const base = `http://127.0.0.1:${http}`;
  let server = await start(args);
  say(`serving, pid ${server.ready.pid}`);

  const { receivers, plans } = await makeReceivers(base);
  const away = receivers.filter((_, index) => index % 2 === 1);
  // Everybody connects once, so that devices exist and rooms have positions; then half of them leave.
  for (const receiver of receivers) receiver.start();
  await until('everybody connected', () => receivers.every((receiver) => receiver.opened > 0));
  for (const receiver of away) receiver.stop();
  say(`${receivers.length} clients connected, ${away.length} of them left again`);

  const pushing = pushEverything(base);
  for (const [index, signal] of (['SIGKILL', 'SIGTERM', 'SIGKILL'] as const).entries()) {
    await until(`${index + 1} quarter of the pushes`, () => answered >= (pushes * (index + 1)) / 4.2);
    ready = undefined;
    const how = await server.end(signal);
    say(`${signal}: the server ended (${how}); starting it again on the same data`);
    server = await start(args);
  }
  await pushing;
  say('all pushes are answered; the absent come back');
  for (const receiver of away) receiver.start();
  const result = await settle(receivers, plans);
  const metrics = await call(`${base}/metrics`, 'GET', undefined);
  for (const receiver of receivers) receiver.stop();
  const status = await server.end('SIGTERM');
  say(`SIGTERM: exit ${status}`);
  say(JSON.stringify(result, null, 2));
  say(`gaps untold to legacy clients (metric): ${gapsUntold(metrics.body)}`);
  return verdict(result) && status === 0;
}

function verdict(result: Account): boolean {
  const { native, rooms, broadcasts, legacy } = result;
  const promises: readonly (readonly [string, boolean])[] = [
    ['native: lost 0', native.lost === 0],
    ['native: unflagged duplicates 0', native.unflaggedDuplicates === 0],
    ['native: out of order 0', native.outOfOrder === 0],
    ['native: wrong or foreign payloads 0', native.wrongPayload + native.foreign === 0],
    ['native: the user over the cap was told gaps', native.gapped > 0],
    ['rooms: lost 0, out of order 0', rooms.lost + rooms.outOfOrder === 0],
    ['broadcasts: lost 0, out of order 0', broadcasts.lost + broadcasts.outOfOrder === 0 && broadcasts.delivered > 0],
    ['legacy: lost while its client lived 0', legacy.lost === 0],
    ['legacy: foreign 0', legacy.foreign === 0],
    ['one id for one payload, one payload under one id', result.idsReused + result.pushedOnceStoredTwice === 0],
    ['no push left unknown', result.unknown === 0],
    [`accepted ${pushes}`, result.accepted.user + result.accepted.room + result.accepted.all >= pushes],
  ];
  for (const [promise, holds] of promises) say(`${holds ? 'ok    ' : 'FAILED'} ${promise}`);
  return promises.every(([, holds]) => holds);
}

async function start(args: readonly string[]): Promise<RunningServer> {
  const server = await startServer(args, env);
  serving = server;
  ready = server.ready;
  return server;
}

async function makeReceivers(base: string): Promise<{ receivers: RawReceiver[]; plans: ReceiverPlan[] }> {
  const kinds = Array.from({ length: users }, (_, index) => {
    const user = String(FIRST_USER + index);
    const kind = user === OVER_CAP_USER ? KINDS[0] : KINDS[index % KINDS.length];
    const { dialect, transport } = kind as (typeof KINDS)[number];
    const device = dialect === 'native' ? 'phone' : undefined;
    const rooms = dialect === 'native' ? [`live://${index % 3}`] : [];
    return { user, dialect, transport, device, rooms };
  });
  const secrets = await makeTokens(base, kinds);
  const receivers: RawReceiver[] = [];
  const plans: ReceiverPlan[] = [];
  for (const { user, dialect, transport, device, rooms } of kinds) {
    const who = `${user}/${dialect}-${transport}`;
    const token = secrets.get(user);
    if (token === undefined) throw new Error(`no token for user ${user}`);
    const common = { who, dialect, transport, address: () => ready, token, user, rooms, journal: received };
    const native = dialect === 'native' ? { device: device as string, ownCursor: random() < 0.5 } : {};
    receivers.push(new RawReceiver({ ...common, ...native, ackEveryMs: 50 + random() * 300, retryMs: 100 }));
    plans.push({ who, user, native: dialect === 'native', rooms: dialect === 'native' ? rooms : ['1'] });
  }
  return { receivers, plans };
}

/** One command for all users with the same device and rooms. */
async function makeTokens(
  base: string,
  kinds: readonly { readonly user: string; readonly device: string | undefined; readonly rooms: readonly string[] }[],
): Promise<ReadonlyMap<string, string>> {
  const groups = new Map<string, string[]>();
  for (const { user, device, rooms } of kinds) {
    const flags = [...(device === undefined ? [] : ['--device', device]), ...rooms.flatMap((room) => ['--room', room])];
    const key = JSON.stringify(flags);
    groups.set(key, [...(groups.get(key) ?? []), user]);
  }
  const secrets = new Map<string, string>();
  for (const [key, members] of groups) {
    const file = join(folder, 'users.txt');
    writeFileSync(file, `${members.join('\n')}\n`);
    const flags = JSON.parse(key) as string[];
    const lines = await command(['token', 'create', '--users-file', file, '--ttl', '1d', ...flags, '--server', base]);
    for (const line of lines) {
      const { user, token } = JSON.parse(line) as { user: string; token: string };
      secrets.set(user, token);
    }
  }
  return secrets;
}

/** 98 % through one `imgo push --lines`, the rest through the legacy APIs. */
async function pushEverything(base: string): Promise<void> {
  const legacy = Math.floor(pushes * 0.02);
  await Promise.all([pushLines(base, pushes - legacy), pushLegacy(base, legacy)]);
}

async function pushLines(base: string, count: number): Promise<void> {
  const path = join(folder, 'pushes.ndjson');
  const file = createWriteStream(path);
  const sent: { readonly to: string; readonly message: string }[] = [];
  for (let index = 0; index < count; index++) {
    const message = payloads.next();
    const to = targetOf(index);
    sent.push({ to, message });
    const target =
      to === 'all' ? { all: true } : to.startsWith('room:') ? { room: to.slice(5) } : { user: to.slice(5) };
    if (!file.write(`{"to":${JSON.stringify(target)},"message":${message}}\n`)) {
      await new Promise<void>((resolve) => file.once('drain', () => resolve()));
    }
  }
  await new Promise<void>((resolve) => {
    file.end(() => resolve());
  });
  let line = 0;
  await command(
    ['push', '--lines', '--idempotency-key', 'auto', '--file', path, '--json', '--server', base],
    (text) => {
      const push = sent[line++];
      if (push === undefined) throw new Error('more answers than pushes');
      const answer = JSON.parse(text) as { id?: string; error?: { code: string } };
      const id = answer.id;
      const outcome = id === undefined ? 'refused' : 'accepted';
      pushed.write({ ...fingerprint(push.message), to: push.to, outcome, ...(id !== undefined && { id }) });
      answered++;
    },
  );
  if (line !== count) throw new Error(`${count} pushes, ${line} answers`);
}

function targetOf(index: number): string {
  if (index < OVER_CAP_PUSHES) return `user:${OVER_CAP_USER}`;
  const dice = random();
  if (dice < 0.004) return 'all';
  if (dice < 0.02) return `room:live://${index % 3}`;
  return `user:${FIRST_USER + Math.floor(random() * users)}`;
}

/** imgo's and goim's callers: one at a time, asked again after a broken connection (so perhaps accepted twice). */
async function pushLegacy(base: string, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const message = payloads.next();
    const user = String(FIRST_USER + Math.floor(random() * users));
    const imgo = index % 2 === 0;
    const url = imgo ? `${base}/1/push?uid=${user}` : `${base}/goim/push/mids?operation=1000&mids=${user}`;
    const line = { ...fingerprint(message), to: `user:${user}` };
    for (;;) {
      try {
        const answer = await call(url, 'POST', message, { 'content-type': 'application/x-www-form-urlencoded' });
        const body = JSON.parse(answer.body) as { ret?: number; code?: number };
        if (body.ret === 1 || body.code === 0) {
          pushed.write({ ...line, outcome: 'accepted' });
          break;
        }
      } catch {
        // The server is down: this caller tries again, as those of the originals do.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    answered++;
  }
}

/** Runs `imgo …`; answers its stdout lines, or hands each to `line`. Throws with its stderr on a bad exit. */
async function command(args: readonly string[], line?: (text: string) => void): Promise<string[]> {
  const child: ChildProcess = spawn(LAUNCHER, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const lines: string[] = [];
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  for await (const text of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line === undefined) lines.push(text);
    else line(text);
  }
  const status = await exit;
  if (status !== 0)
    throw new Error(`imgo ${args.slice(0, 3).join(' ')}: exit ${status}\n${stderr}\n${lines.join('\n')}`);
  return lines;
}

/**
 * Judges when nothing has arrived for a while and everybody is connected; judging parses all journals and so keeps the
 * receivers from reading, which is why it is not done earlier or often.
 */
async function settle(receivers: readonly RawReceiver[], plans: readonly ReceiverPlan[]): Promise<Account> {
  for (let tries = 1; ; tries++) {
    await until('everybody is connected', () => receivers.every((receiver) => receiver.open));
    await quiet(receivers, 3_000 * tries);
    pushed.flush();
    received.flush();
    const result = account(readJournal<PusherLine>(pushedPath), readJournal<ReceiverLine>(receivedPath), plans);
    if (tries === 4 || missing(result) === 0) return result;
  }
}

/** Resolves when no receiver has got anything for so long. */
async function quiet(receivers: readonly RawReceiver[], ms: number): Promise<void> {
  const total = (): number => receivers.reduce((sum, receiver) => sum + receiver.received, 0);
  let last = total();
  for (let since = Date.now(); Date.now() - since < ms; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (total() === last) continue;
    last = total();
    since = Date.now();
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 600_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function gapsUntold(metrics: string): string {
  return (
    metrics
      .split('\n')
      .filter((line) => line.includes('untold') && !line.startsWith('#'))
      .join(' ') || 'none counted'
  );
}
