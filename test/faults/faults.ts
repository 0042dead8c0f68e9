// `npm run faults`: a whole cluster (three Kafka brokers, Redis with Sentinel, two logics, two jobs, three comets) under pushes,
// while its parts are killed, stopped, cut off from each other and restarted as a seed has it; at the end the topic is made
// anew. Then everything that was accepted is accounted for from raw journals. Exits 1 when a promise broke, with the evidence.
//   --seed N   --pushes 200000   --clients 3000   --rate 600 (pushes a second)   --minutes 30 (in all)
//   --pause 30 (seconds of a stop)   --cut 12 (of a partition)   --faults kill,stop-redis,partition-job,rolling,topic (all)
//   --rounds N (of every fault once; as many as the pushes take)   --calm 6 (seconds between two faults of a lane, at most)
//   --from FOLDER (the built tree of an earlier version: all nodes are of it, and are replaced by this one and back, one by one,
//   while the faults fall; --faults none has nothing else happen)
//   --deaths 3 (of each role alone, before: how long that is felt)   --keep (journals and logs, also when all is well)
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { removeLeftovers } from '../brokers/process.js';
import { provision } from '../brokers/provision.js';
import { type Account, account } from '../harness/account.js';
import { flagsOf } from '../harness/flags.js';
import { Journal, type PusherLine, type ReceiverLine, readJournal } from '../harness/journal.js';
import { seededRandom } from '../harness/random.js';
import { Balancer } from './balancer.js';
import { type FaultCluster, startCluster } from './cluster.js';
import { evidence, writeLogs } from './evidence.js';
import { Fleet } from './fleet.js';
import { Load } from './load.js';
import { type Death, figuresOf, killOneByOne } from './recovery.js';
import { routerDifferences } from './router.js';
import { Schedule } from './schedule.js';
import { changeTopic } from './topic.js';
import { promisesOf } from './verdict.js';

const { values } = flagsOf(import.meta.filename, {
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  pushes: { type: 'string', default: '200000' },
  clients: { type: 'string', default: '3000' },
  rate: { type: 'string', default: '600' },
  minutes: { type: 'string', default: '30' },
  pause: { type: 'string', default: '30' },
  cut: { type: 'string', default: '12' },
  faults: { type: 'string', default: '' },
  rounds: { type: 'string', default: 'Infinity' },
  calm: { type: 'string', default: '6' },
  deaths: { type: 'string', default: '3' },
  keep: { type: 'boolean', default: false },
  from: { type: 'string' },
});
const [seed, pushes, clients, rate] = [values.seed, values.pushes, values.clients, values.rate].map(Number) as [
  number,
  number,
  number,
  number,
];
const began = Date.now();
const endsBy = began + Number(values.minutes) * 60_000;
/** After this nothing more is broken and pushed: the rest of the time is for what is under way, and for judging. */
const breaksUntil = began + Number(values.minutes) * 60_000 * 0.75;
const IN_FLIGHT = 192;
/** Pushes a second while single deaths are measured: nothing may wait for anything else. */
const CALM_RATE = 100;
/** Nothing came for so long: everything is there, or will not come. */
const QUIET_MS = 4_000;

/** Of the earlier version. */
const older = values.from === undefined ? undefined : resolve(values.from, 'bin/imgo');

/** Each part has its own: how often one draws does not change what the others get. */
const randomOf = (part: number): (() => number) => seededRandom(seed * 16 + part);
const folder = mkdtempSync(join(tmpdir(), 'imgo-faults-'));
const pushedPath = join(folder, 'pushed.ndjson');
const receivedPath = join(folder, 'received.ndjson');
const pushed = new Journal<PusherLine>(pushedPath);
const received = new Journal<ReceiverLine>(receivedPath);
const say = (text: string): void => {
  process.stdout.write(`${((Date.now() - began) / 1_000).toFixed(1).padStart(7)}  ${text}\n`);
};

let running: FaultCluster | undefined;
const giveUp = (why: string): void => {
  writeLogs(folder, running?.nodes ?? []);
  pushed.flush();
  received.flush();
  say(`FAILED with seed ${seed}: ${why}; journals in ${folder}`);
  process.exit(1);
};
const watchdog = setTimeout(() => giveUp(`not done after ${values.minutes} min`), endsBy - began);
process.once('SIGTERM', () => giveUp('ended by somebody'));

try {
  process.exitCode = (await campaign()) ? 0 : 1;
} catch (error) {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
} finally {
  clearTimeout(watchdog);
  if (process.exitCode === 0 && !values.keep) rmSync(folder, { recursive: true, force: true });
  else say(`journals and logs are in ${folder}`);
}
process.exit();

async function campaign(): Promise<boolean> {
  say(`seed ${seed}: ${pushes} pushes, ${clients} clients; ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}`);
  const missing = await provision();
  if (missing.length > 0) throw new Error(`missing:\n${missing.join('\n')}`);
  await removeLeftovers();
  mkdirSync(join(folder, 'nodes'));
  const counts = { logics: 2, jobs: 2, comets: 3 };
  await using cluster = await startCluster({ ...counts, folder: join(folder, 'nodes'), launcher: older });
  running = cluster;
  say(`${cluster.nodes.length} nodes are up`);
  try {
    return await broken(cluster);
  } finally {
    writeLogs(folder, cluster.nodes);
  }
}

async function broken(cluster: FaultCluster): Promise<boolean> {
  const anywhere = randomOf(1);
  const logic = (): string =>
    (cluster.of('logic').find(({ up, paused }) => up && !paused) ?? cluster.of('logic')[0])?.options.http ?? '';
  const fleet = await Fleet.create({
    clients,
    random: randomOf(2),
    journal: received,
    comet: () => {
      const comets = cluster.of('comet');
      return comets[Math.floor(anywhere() * comets.length)]?.options;
    },
    logic,
  });
  await fleet.connect();
  say(`${fleet.open} clients of ${fleet.users.length} users are connected`);

  await using balancer = new Balancer(cluster.of('logic').map(({ options }) => options.http));
  const load = new Load({
    seed,
    random: randomOf(3),
    journal: pushed,
    logics: () => balancer.alive,
    users: fleet.users,
    rooms: fleet.rooms,
    inFlight: IN_FLIGHT,
  });
  const schedule = new Schedule({
    cluster,
    random: randomOf(4),
    say,
    pauseMs: Number(values.pause) * 1_000,
    cutMs: Number(values.cut) * 1_000,
    calmMs: Number(values.calm) * 1_000,
    only: values.faults.split(',').filter((name) => name !== ''),
  });
  const deaths = await oneByOne(cluster, fleet, load);

  const late = setTimeout(() => schedule.stop(), Math.max(0, breaksUntil - Date.now()));
  fleet.churn();
  let whole = false;
  const loading = load.run(rate, () => Date.now() > breaksUntil || (whole && load.done >= pushes));
  await Promise.all([
    schedule.run((round) => round >= Number(values.rounds) || load.done >= pushes * 0.9),
    older === undefined ? undefined : schedule.upgrade(older),
  ]);
  if (schedule.wants('rolling')) {
    say('rolling restart of everything');
    await schedule.rolling();
  }
  whole = true;
  await loading;
  clearTimeout(late);
  say(
    `${load.done} pushes: ${JSON.stringify(load.counts)} by target; refusals ${JSON.stringify(Object.fromEntries(load.refusals))}`,
  );
  say(`faults: ${JSON.stringify(Object.fromEntries(schedule.made))}`);

  let result = await settle(fleet);
  const complaints = [...schedule.stuck];
  if (schedule.wants('topic')) {
    complaints.push(...(await changeTopic({ cluster, load, say, perSecond: rate, pushes: Math.ceil(pushes / 20) })));
    result = await settle(fleet);
  }
  await fleet.halve();
  const differences = await routerDifferences(logic, fleet);
  say(JSON.stringify(result, null, 2));
  for (const complaint of complaints) say(`note: ${complaint}`);
  for (const difference of differences.slice(0, 10)) say(`router: ${difference}`);
  const promises = promisesOf(result, differences.length);
  for (const [promise, holds] of promises) say(`${holds ? 'ok    ' : 'FAILED'} ${promise}`);
  const good = promises.every(([, holds]) => holds) && complaints.length === 0;
  if (!good) {
    const [pushes, lines] = [readJournal<PusherLine>(pushedPath), readJournal<ReceiverLine>(receivedPath)];
    for (const line of await evidence({ account: result, pushes, lines, logic: logic() })) say(line);
  }
  fleet.stop();
  await report(deaths);
  say(good ? `ok: nothing accepted was lost (seed ${seed})` : `FAILED with seed ${seed}`);
  return good;
}

/** Before everything else: what one death alone costs. */
async function oneByOne(cluster: FaultCluster, fleet: Fleet, load: Load): Promise<readonly Death[]> {
  let done = false;
  const loading = load.run(Math.min(rate, CALM_RATE), () => done);
  const deaths = await killOneByOne({ cluster, fleet, random: randomOf(5), say, rounds: Number(values.deaths) });
  done = true;
  await loading;
  return deaths;
}

async function report(deaths: readonly Death[]): Promise<void> {
  if (deaths.length === 0) return;
  const [pushes, lines] = [readJournal<PusherLine>(pushedPath), readJournal<ReceiverLine>(receivedPath)];
  for (const figure of figuresOf(deaths, pushes, lines)) say(figure);
}

/** Judges when everybody is connected and nothing came for a while; again while something is missing and there is time. */
async function settle(fleet: Fleet): Promise<Account> {
  for (let tries = 1; ; tries++) {
    await fleet.gather();
    await fleet.quiet(QUIET_MS * tries, endsBy);
    pushed.flush();
    received.flush();
    const result = account(readJournal<PusherLine>(pushedPath), readJournal<ReceiverLine>(receivedPath), fleet.plans);
    const { native, rooms, broadcasts } = result;
    const owed = native.lost + rooms.lost + broadcasts.lost;
    say(
      `everybody is connected and nothing comes; ${owed} of ${native.expected + rooms.expected + broadcasts.expected} missing`,
    );
    if (owed === 0 || tries === 3) return result;
  }
}
