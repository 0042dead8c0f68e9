// `npm run check:sync`: SIGKILL does not prove a sync, because what a killed process wrote stays in the system's cache. So a
// server runs under strace, messages are pushed one by one, many at once and in a batch, and the trace has to show that
// no 200 and no delivery left before a sync that covers the message had returned. Needs strace (Debian: apt-get install
// strace) and permission to trace; without them it says so and ends with status 77, which is no success.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { TestApi, until } from '../harness/api.js';
import { Journal, type ReceiverLine } from '../harness/journal.js';
import { call } from '../harness/pusher.js';
import { RawReceiver } from '../harness/receiver.js';
import { LAUNCHER, type Ready } from '../harness/server.js';
import { judge, type Pushed } from './trace.js';

const CALLS =
  'openat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,fdatasync,fsync,msync,sync_file_range';
const NOT_AVAILABLE = 77;
const ONE_BY_ONE = 30;
const AT_ONCE = 400;
const IN_A_BATCH = 200;
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'imgo-sync-')));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  process.exitCode = await check();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function check(): Promise<number> {
  const probe = spawnSync('strace', ['-f', '-o', join(folder, 'probe'), 'true'], { encoding: 'utf8' });
  if (probe.status !== 0) {
    say(`strace cannot be used here: ${probe.error?.message ?? probe.stderr.trim()}`);
    say('apt-get install strace; in a container allow ptrace');
    return NOT_AVAILABLE;
  }
  const trace = join(folder, 'trace');
  const data = join(folder, 'data');
  const strace = ['-f', '-y', '-s', '70000', '-e', `trace=${CALLS}`, '-o', trace];
  const serve = [LAUNCHER, 'serve', '--json', '--data', data, '--http', '0', '--tcp', '0', '--ws', '0'];
  const child = spawn('strace', [...strace, ...serve], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: join(folder, 'state'), IMGO_STORE__RESERVE: '1MiB' },
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const ready = await new Promise<Ready>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as { readonly event: string } & Ready;
      if (event.event === 'ready') resolve(event);
    });
    void ended.then((status) => reject(new Error(`the server ended (${status}) before it was ready`)));
  });
  const pushed = await push(ready);
  process.kill(ready.pid, 'SIGTERM');
  const status = await ended;
  const text = readFileSync(trace, 'utf8');
  const verdict = judge(text, join(data, 'store.mdb'), pushed);
  for (const problem of verdict.problems.slice(0, 20)) say(`✖ ${problem}`);
  const { answers, deliveries, commits, problems } = verdict;
  say(`${pushed.length} pushes, ${answers} answers, ${deliveries} deliveries, ${commits} commits; exit ${status}`);
  // A judge that cannot see a fault proves nothing: the same trace, its syncs taken out, has to fail.
  const without = judge(text.replace(/^\d+ +(fdatasync|fsync|msync).*\n/gm, ''), join(data, 'store.mdb'), pushed);
  if (without.problems.length < pushed.length) {
    say('✖ the judge does not miss syncs that are not there');
    return 1;
  }
  const whole = answers === pushed.length && deliveries > 0 && commits > 0 && status === 0;
  if (problems.length > 0 || !whole) return 1;
  say('ok: no answer and no delivery left before the sync of its message had returned');
  return 0;
}

async function push(ready: Ready): Promise<readonly Pushed[]> {
  const api = new TestApi(() => ready.http);
  const journal = new Journal<ReceiverLine>(join(folder, 'received.ndjson'));
  const receiver = new RawReceiver({
    who: '1',
    dialect: 'native',
    transport: 'tcp',
    address: () => ready,
    token: await api.token('1', { device: 'd', rooms: ['r'] }),
    user: '1',
    rooms: ['r'],
    journal,
  });
  receiver.start();
  await until('the receiver', () => receiver.open);
  const pushed: Pushed[] = [];
  const marker = (n: number): string => `marker.${n}.${Math.random().toString(36).slice(2, 12)}.`;
  const one = async (n: number): Promise<void> => {
    const mark = marker(n);
    const to = n % 10 === 0 ? { room: 'r' } : { user: String(1 + (n % 7)) };
    const pad = n % 50 === 0 ? 'x'.repeat(40_000) : '';
    pushed.push({ marker: mark, id: await api.push(to, `${mark}${pad}`) });
  };
  for (let n = 0; n < ONE_BY_ONE; n++) await one(n);
  let next = ONE_BY_ONE;
  const worker = async (): Promise<void> => {
    while (next < ONE_BY_ONE + AT_ONCE) await one(next++);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  const marks = Array.from({ length: IN_A_BATCH }, (_, n) => marker(1_000 + n));
  const lines = marks.map((mark, n) => JSON.stringify({ to: { user: String(1 + (n % 7)) }, message: mark }));
  const answer = await call(`${ready.http}/v1/push/batch`, 'POST', lines.join('\n'), {
    'content-type': 'application/x-ndjson',
  });
  for (const [n, line] of answer.body.trim().split('\n').entries()) {
    pushed.push({ marker: marks[n] ?? '', id: (JSON.parse(line) as { id: string }).id });
  }
  receiver.stop();
  await until('the receiver to be gone', () => !receiver.open);
  journal.close();
  return pushed;
}
