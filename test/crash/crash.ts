// `npm run crash`: kills a server with SIGKILL at seeded instants, with pushes in flight, restarts it on the same data,
// and at the end judges from raw journals that every accepted message reached every device of its user, or a gap did.
//   --kills 200   --seed N   --users 30   --in-flight 48
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Account, account, missing, type ReceiverPlan } from '../harness/account.js';
import { flagsOf } from '../harness/flags.js';
import { Journal, type PusherLine, type ReceiverLine, readJournal } from '../harness/journal.js';
import { call, type Job, Pusher } from '../harness/pusher.js';
import { seededRandom } from '../harness/random.js';
import { type Dialect, RawReceiver } from '../harness/receiver.js';
import { type Ready, type RunningServer, startServer } from '../harness/server.js';

const { values } = flagsOf(import.meta.filename, {
  kills: { type: 'string', default: '200' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  users: { type: 'string', default: '30' },
  'in-flight': { type: 'string', default: '48' },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
const users = Number(values.users);
const inFlight = Number(values['in-flight']);
const random = seededRandom(seed);

const folder = mkdtempSync(join(tmpdir(), 'imgo-crash-'));
const pushed = new Journal<PusherLine>(join(folder, 'pushed.ndjson'));
const received = new Journal<ReceiverLine>(join(folder, 'received.ndjson'));
const args = ['--data', join(folder, 'data'), '--http', '0', '--ws', '0', '--tcp', '0'];
const env = { XDG_STATE_HOME: join(folder, 'state'), IMGO_LIMITS__SESSIONS_PER_USER: '8' };

let ready: Ready | undefined;
let stopping = false;
const log = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  process.exitCode = (await campaign()) ? 0 : 1;
} finally {
  if (process.exitCode === 0) rmSync(folder, { recursive: true, force: true });
  else log(`journals kept in ${folder}`);
}

async function campaign(): Promise<boolean> {
  log(`crash campaign: seed ${seed}, ${kills} kills, ${users} users, ${inFlight} pushes in flight`);
  let server = await start();
  const { receivers, plans } = await makeReceivers(server.ready);
  for (const receiver of receivers) receiver.start();
  // A device that has never been there starts at what is kept: from here on each one exists.
  while (receivers.some((receiver) => receiver.opened === 0)) await new Promise((resolve) => setTimeout(resolve, 20));

  const pusher = new Pusher(() => ready?.http, pushed);
  const pushing = pusher.run(jobs(), inFlight);
  const flights: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    await someWork(pusher);
    churn(receivers);
    flights.push(pusher.inFlight);
    ready = undefined;
    await server.end('SIGKILL');
    server = await start();
    if ((kill + 1) % 20 === 0) {
      log(`  ${kill + 1} kills, ${pusher.accepted} accepted, ${pusher.inFlight} in flight now`);
    }
  }
  stopping = true;
  await pushing;
  for (const receiver of receivers) receiver.start();
  const result = await settle(plans);
  for (const receiver of receivers) receiver.stop();
  await server.end('SIGTERM');
  const busy = flights.filter((count) => count > 0).length;
  log(`pushes in flight at the kills: ${sum(flights)} in all, ${busy} of ${kills} kills hit some`);
  log(JSON.stringify(result, null, 2));
  const { native, rooms, legacy } = result;
  const bad =
    native.lost +
    native.unflaggedDuplicates +
    native.outOfOrder +
    native.wrongPayload +
    native.foreign +
    rooms.lost +
    rooms.outOfOrder +
    result.broadcasts.lost +
    result.broadcasts.outOfOrder +
    legacy.foreign +
    result.idsReused +
    result.pushedOnceStoredTwice;
  log(bad === 0 ? `ok: nothing accepted was lost (seed ${seed})` : `FAILED with seed ${seed}`);
  return bad === 0 && busy > kills / 4 && native.expected > 0;
}

/** An instant that depends on work done rather than on time: after so many answers, and then any moment later. */
async function someWork(pusher: Pusher): Promise<void> {
  const enough = pusher.done + Math.floor(random() * 100);
  const patience = Date.now() + 10_000;
  while (pusher.done < enough && Date.now() < patience) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, random() * 30));
}

async function start(): Promise<RunningServer> {
  const server = await startServer(args, env);
  ready = server.ready;
  return server;
}

/** Two devices a user (TCP and WebSocket, own cursor or the server's), legacy clients for some, two rooms. */
async function makeReceivers(at: Ready): Promise<{ receivers: RawReceiver[]; plans: ReceiverPlan[] }> {
  const receivers: RawReceiver[] = [];
  const plans: ReceiverPlan[] = [];
  const add = async (user: string, device: string | undefined, dialect: Dialect, transport: 'tcp' | 'ws') => {
    const who = `${user}/${device ?? dialect}`;
    const rooms = dialect === 'native' ? [`r${Number(user) % 2}`] : [];
    const body = JSON.stringify({ user, ttl: '1d', ...(device && { device }), ...(rooms.length > 0 && { rooms }) });
    const answer = await call(`${at.http}/v1/tokens`, 'POST', body);
    if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.body}`);
    const { token } = JSON.parse(answer.body) as { token: string };
    const ownCursor = dialect === 'native' && random() < 0.5;
    const address = () => ready;
    receivers.push(
      new RawReceiver({
        who,
        dialect,
        transport,
        address,
        token,
        user,
        rooms,
        ownCursor,
        journal: received,
        ...(device === undefined ? {} : { device }),
        ackEveryMs: 20 + random() * 400,
      }),
    );
    plans.push({ who, user, native: dialect === 'native', rooms });
  };
  for (let index = 0; index < users; index++) {
    const user = String(1000 + index);
    if (index % 5 === 4) await add(user, undefined, index % 2 === 0 ? 'imgo' : 'goim1', index % 2 === 0 ? 'tcp' : 'ws');
    else {
      await add(user, 'phone', 'native', 'tcp');
      await add(user, 'web', 'native', 'ws');
    }
  }
  return { receivers, plans };
}

/** Some clients die, some leave, some come back. */
function churn(receivers: readonly RawReceiver[]): void {
  for (const receiver of receivers) {
    if (receiver.options.dialect !== 'native') continue;
    const dice = random();
    if (dice < 0.1) receiver.abort();
    else if (dice < 0.15) receiver.stop();
    else if (dice < 0.5) receiver.start();
  }
}

function* jobs(): Generator<Job> {
  for (let no = 1; !stopping; no++) {
    const dice = random();
    const user = 1000 + Math.floor(random() * users);
    const to = dice < 0.9 ? `user:${user}` : dice < 0.98 ? `room:r${no % 2}` : 'all';
    const text = '订单 🚚 طلب '.repeat(Math.floor(random() * 8));
    const message = JSON.stringify({ no, text, seed });
    yield random() < 0.3 ? { to, message, idempotencyKey: `k${seed}-${no}` } : { to, message };
  }
}

/** Waits until everybody has everything, or nothing has changed for a while. */
async function settle(plans: readonly ReceiverPlan[]): Promise<Account> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    pushed.flush();
    received.flush();
    const result = account(
      readJournal<PusherLine>(join(folder, 'pushed.ndjson')),
      readJournal<ReceiverLine>(join(folder, 'received.ndjson')),
      plans,
    );
    if (missing(result) === 0 || Date.now() > deadline) return result;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
