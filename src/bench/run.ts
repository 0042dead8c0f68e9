/**
 * A run, step by step: server, receivers, tokens; connect, warm up, measure, settle, audit; the account. Whatever happens, what it
 * started is ended; a run that is cut short gives the account of what there was until then, and says why.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Op } from '../protocol/frame.js';
import { type Mark, resultOf } from './account.js';
import { turned } from './addresses.js';
import { membersOf } from './aims.js';
import { broken } from './assertions.js';
import { calibrate } from './calibrate.js';
import { Cut } from './cut.js';
import type { BenchResult, BenchSample } from './figures.js';
import { Fleet } from './fleet.js';
import { driveHttp, type HttpDrive } from './http.js';
import type { ReceiverSetup } from './messages.js';
import { Meter } from './meter.js';
import { MachineWatch } from './moments.js';
import { NodesWatch } from './nodes.js';
import { now } from './now.js';
import { Offer, type Schedule } from './offer.js';
import type { RunParts } from './parts.js';
import { pushApi } from './push.js';
import { withReference } from './reference.js';
import { ownTarget, runningTarget, type Target } from './target.js';
import { makeTokens, TOKENS_A_CALL } from './tokens.js';
import { turnMs } from './turns.js';
import { GOIM_OPERATION } from './wire/wire.js';

/**
 * Connections under way, over all processes: at first, and at most. A hundred processes on a core are quick only when each
 * finds a handful of connections to serve in its turn: 120,000 connections over 57 took 47 s with 400 under way, 30 s with
 * 5,600, and then the first ones had waited for longer than a handshake may take.
 */
const UNDER_WAY = 4_000;
const MOST_UNDER_WAY = 12_000;
/** Connections whose payloads are read, over all processes, and how many messages a second those may get together. */
const SAMPLE = 1_000;
const SAMPLED_A_SECOND = 100_000;
/** So many processes answer more often than once a second without being felt. */
const FEW_PROCESSES = 8;
const MINTS_AT_ONCE = 2;
const LOOK_MS = 50;
/** Nothing new for this long: nothing is on its way any more. A sweep over a million connections takes up to 14 s on two cores. */
const QUIET_MS = 3_000;
const QUIET_MANY_MS = 20_000;
const MANY = 100_000;
/** How long what is on its way may take once the run was cut short. */
const CUT_SHORT_MS = 5_000;
/** Between the order to receivers and the first message. */
const LEAD_MS = 100;
const TICK_MS = 1_000;

/** @throws ImgoError internal: the server or a receiver did not start; what its API refused */
export async function runBench(parts: RunParts): Promise<BenchResult> {
  const result = await measured(parts);
  // What the run started is gone: bare sockets have the machine for themselves.
  const { reference } = parts;
  if (reference === undefined || result.cutShort !== null) return result;
  const last = result.samples.at(-1);
  const from = now();
  const ticker = setInterval(() => {
    const phaseSeconds = (now() - from) / 1_000;
    if (last !== undefined)
      parts.onSample({ ...last, phase: 'reference', seconds: last.seconds + phaseSeconds, phaseSeconds });
  }, TICK_MS);
  try {
    return await withReference(result, parts.signal, reference);
  } finally {
    clearInterval(ticker);
  }
}

async function measured(parts: RunParts): Promise<BenchResult> {
  const cut = new Cut(parts.signal);
  const target = parts.access === undefined ? await ownTarget(parts.plan, parts.launcher) : runningTarget(parts.access);
  void target.ended.then((why) => cut.short(why));
  const fleet = new Fleet(parts.plan.mode === 'http' ? [] : parts.plan.receivers, (why) => cut.short(why));
  const run = new Run(parts, cut, target, fleet);
  try {
    return await run.all();
  } finally {
    run.stop();
    fleet.end();
    await target.stop();
  }
}

class Run {
  readonly #parts: RunParts;
  readonly #cut: Cut;
  readonly #target: Target;
  readonly #fleet: Fleet;
  readonly #nodes: NodesWatch | undefined;
  readonly #offer: Offer;
  readonly #meter: Meter;
  readonly #tellsPlace: boolean;
  #offering: Promise<void> = Promise.resolve();
  /** Connections that came. */
  #connected = 0;
  #http: HttpDrive | undefined;

  constructor(parts: RunParts, cut: Cut, target: Target, fleet: Fleet) {
    const { plan } = parts;
    this.#parts = parts;
    this.#cut = cut;
    this.#target = target;
    this.#fleet = fleet;
    const api = pushApi(target.http, { dialect: plan.dialect, native: target.native, userBase: target.userBase });
    this.#tellsPlace = api.tellsPlace;
    this.#offer = new Offer(api, plan, plan.sizeBytes, now);
    this.#nodes = target.native ? new NodesWatch(target.http) : undefined;
    const machine = new MachineWatch();
    this.#meter = new Meter({
      fleet,
      server: target.group,
      nodes: this.#nodes,
      messages: () => this.#http?.counts ?? this.#offer.counts,
      machine: () => machine.moment(),
      onSample: (sample) => this.#sampled(sample),
      now,
    });
  }

  async all(): Promise<BenchResult> {
    const { plan } = this.#parts;
    this.#meter.start();
    this.#meter.enter('preflight');
    this.#fleet.setUp((first, count, at) => this.#setup(first, count, at));
    this.#meter.enter('calibrate');
    const calibration = plan.expectation === undefined ? null : await calibrate(plan);
    const idle = await this.#mark();
    if (plan.mode !== 'http') await this.#giveTokens();
    this.#meter.enter('connect');
    const dialled = await this.#mark();
    if (plan.mode !== 'http') await this.#connect();
    const connected = await this.#mark();
    const schedule = this.#schedule();
    const began = await this.#warmUp(schedule);
    await this.#measure(schedule);
    const measuredAt = now();
    await this.#settle();
    const ended = await this.#mark();
    this.#meter.enter('audit');
    // Gaps are looked up by the places of what was accepted, where there were any.
    const withIds = ended.clients.gaps > 0 && Object.keys(ended.clients.broke).length > 0;
    const audits = await this.#fleet.audit((first, count) => this.#offer.numbersFor(first, count, withIds));
    this.#meter.enter('verdict');
    return resultOf(this.#parts, {
      marks: { idle, dialled, connected, began, ended },
      measuredAt,
      schedule,
      audits,
      offer: this.#offer,
      meter: this.#meter,
      http: this.#http,
      tellsPlace: this.#tellsPlace,
      cutShort: this.#cut.why,
      calibration,
    });
  }

  stop(): void {
    this.#meter.stop();
    this.#http?.stop();
  }

  #sampled(sample: BenchSample): void {
    this.#parts.onSample(sample);
    const assertion = broken(this.#parts.assertions, sample);
    if (assertion !== undefined) this.#cut.short(`${assertion.text} is broken`);
  }

  async #mark(): Promise<Mark> {
    const [clients, answered] = await Promise.all([this.#fleet.report(), this.#nodes?.ask()]);
    const nodes = answered ?? this.#nodes?.latest;
    const { members } = this.#meter;
    return { at: now(), server: this.#meter.server(), client: this.#meter.client(), clients, nodes, members };
  }

  /** Gives each receiver its tokens: none is here any longer than it takes to hand it on. */
  async #giveTokens(): Promise<void> {
    const { plan } = this.#parts;
    const chunks: { readonly at: number; readonly first: number; readonly count: number }[] = [];
    let first = 0;
    for (const [at, connections] of plan.receivers.entries()) {
      for (let done = 0; done < connections; done += TOKENS_A_CALL) {
        chunks.push({ at, first: first + done, count: Math.min(TOKENS_A_CALL, connections - done) });
      }
      first += connections;
    }
    let next = 0;
    // Each process gets its own in their order: a lane has whole processes.
    const lane = async () => {
      while (next < chunks.length && this.#cut.why === null) {
        const { at } = chunks[next] as (typeof chunks)[number];
        const mine: typeof chunks = [];
        for (let chunk = chunks[next]; chunk?.at === at; chunk = chunks[next]) {
          mine.push(chunk);
          next++;
        }
        for (const chunk of mine) {
          await this.#fleet.give(at, await makeTokens(this.#target, plan, chunk.first, chunk.count));
        }
      }
    };
    await this.#cut.unless(Promise.all(Array.from({ length: MINTS_AT_ONCE }, lane)));
  }

  #setup(first: number, count: number, at: number): ReceiverSetup {
    const { plan } = this.#parts;
    const { dialect, connections, connectRate, sources } = plan;
    const processes = this.#fleet.size;
    const toRooms = plan.mode === 'room' || plan.mode === 'mix';
    const perConnection = plan.mode === 'all' ? plan.rate : plan.rate / (plan.mode === 'room' ? plan.rooms : 1);
    const sampleEvery = Math.max(
      Math.floor(connections / SAMPLE),
      plan.mode === 'user' ? 0 : Math.ceil((connections * perConnection) / SAMPLED_A_SECOND),
    );
    return {
      mode: plan.mode,
      seed: plan.seed,
      connections,
      rooms: plan.rooms,
      dialect,
      transport: plan.transport,
      ...this.#target.clients[0],
      addresses: this.#target.clients,
      first,
      count,
      userBase: this.#target.userBase,
      sizeBytes: plan.sizeBytes,
      pushOp: dialect === 'goim' && !this.#target.native ? GOIM_OPERATION : Op.PUSH,
      tellsPlace: this.#tellsPlace,
      ordered: this.#tellsPlace && plan.mode !== 'mix',
      namesRoom: dialect !== 'imgo' && toRooms,
      sources: turned(sources, at),
      sampleEvery: Math.max(1, sampleEvery),
      dialsPerSecond: connectRate === 'auto' ? undefined : (connectRate * count) / connections,
      underWay: Math.max(1, Math.floor(UNDER_WAY / processes)),
      mostUnderWay: Math.max(2, Math.floor(Math.min(MOST_UNDER_WAY, plan.backlog / 2) / processes)),
      churn: plan.churn,
      slow: plan.slow,
      reconnect: plan.reconnect,
      reportMs: processes > FEW_PROCESSES ? 1_000 : 250,
      turnMs: turnMs(processes, availableParallelism()),
    };
  }

  /** Until each connection has been answered or has failed. */
  async #connect(): Promise<void> {
    const { connections } = this.#parts.plan;
    this.#fleet.tell({ do: 'dial' });
    while (this.#cut.why === null && this.#fleet.figures().settled < connections) await pause(LOOK_MS);
    this.#connected = this.#fleet.figures().open;
  }

  #schedule(): Schedule {
    const { mode, rate, warmupMs, durationMs } = this.#parts.plan;
    const silent = mode === 'idle' || mode === 'connect' || mode === 'http' || rate === 0;
    const everyMs = silent ? 0 : 1_000 / rate;
    const toWarmUp = silent ? 0 : Math.round((warmupMs / 1_000) * rate);
    const all = silent ? 0 : toWarmUp + Math.round((durationMs / 1_000) * rate);
    const schedule = { startedAt: now() + LEAD_MS, everyMs, all, firstMeasured: toWarmUp + 1 };
    this.#fleet.tell({ do: 'schedule', ...schedule });
    return schedule;
  }

  /** Messages begin; what was used when the measured ones do. */
  async #warmUp(schedule: Schedule): Promise<Mark> {
    const { startedAt, everyMs, firstMeasured } = schedule;
    this.#offering = this.#offer.run(schedule, this.#cut.signal);
    if (firstMeasured > 1) {
      this.#meter.enter('warmup');
      await this.#cut.unless(pause(startedAt + (firstMeasured - 1) * everyMs - now()));
    }
    return this.#mark();
  }

  async #measure(schedule: Schedule): Promise<void> {
    const { plan } = this.#parts;
    this.#meter.enter('measure');
    if (this.#cut.why !== null) return;
    const disturbed = plan.churn > 0 || plan.slow > 0;
    if (disturbed) this.#fleet.tell({ do: 'disturb' });
    if (plan.mode === 'http') {
      this.#http = driveHttp(plan, this.#target, this.#cut);
      await this.#cut.unless(this.#http.done);
    } else if (schedule.all > 0) await this.#offering;
    else if (plan.mode !== 'connect' || plan.churn > 0) await this.#cut.unless(pause(plan.durationMs));
    if (disturbed) this.#fleet.tell({ do: 'calm' });
  }

  /** Until every connection has every message, nothing comes any more, or the patience is over. */
  async #settle(): Promise<void> {
    const { plan } = this.#parts;
    this.#meter.enter('settle');
    const from = now();
    // Also a run that was cut short has an account; what is on its way is not lost.
    const patience = () => (this.#cut.why === null ? plan.settleMs : Math.min(plan.settleMs, CUT_SHORT_MS));
    await Promise.race([this.#offer.answered(), pause(patience(), undefined, { ref: false })]);
    const expected = this.#expected();
    const quietMs = plan.connections >= MANY ? QUIET_MANY_MS : QUIET_MS;
    let seen = -1;
    let since = now();
    while (now() - from < patience()) {
      const { received, open, away } = this.#fleet.figures();
      if (received >= expected && this.#offer.counts.unknown === 0 && this.#settledConnections()) return;
      if (open === 0 && this.#settledConnections()) return;
      if (received !== seen) since = now();
      else if (now() - since > quietMs && away === 0) return;
      seen = received;
      await pause(LOOK_MS);
    }
  }

  /** Those that left, or broke, have come back. */
  #settledConnections(): boolean {
    const { open, failed, away } = this.#fleet.figures();
    if (away > 0) return false;
    const lost = Object.values(failed).reduce((sum, count) => sum + count, 0);
    return this.#parts.plan.churn === 0 || open + lost >= this.#parts.plan.connections;
  }

  /** Deliveries that what was accepted makes if all are there. */
  #expected(): number {
    const { connections, rooms } = this.#parts.plan;
    return this.#offer.expected((aim) => {
      if (aim.kind === 'user') return 1;
      // Nobody waits for what would go to a connection that never came.
      return aim.kind === 'all' || rooms === 1 ? this.#connected : membersOf(aim.index, connections, rooms);
    });
  }
}
