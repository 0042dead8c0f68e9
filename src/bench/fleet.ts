// The receiver processes of a run: started, told what to do, added up.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Latencies } from './figures.js';
import { addUp } from './latencies.js';
import type {
  AuditNumbers,
  ReceiverAudit,
  ReceiverFigures,
  ReceiverOrder,
  ReceiverSetup,
  ReceiverWord,
} from './messages.js';

const SCRIPT = fileURLToPath(new URL('./receivers.js', import.meta.url));
/** Connections are what a process holds, and they live long: a small young generation keeps 2 KB less resident for each. */
const FLAGS = ['--max-semi-space-size=1'];
/** Who does not answer within this is not waited for. */
const REPORT_MS = 5_000;
const AUDIT_MS = 120_000;

/** All receivers together, the busiest event loop of them; counts of a process that died are those it told last. */
export type FleetFigures = Omit<ReceiverFigures, 'latencies' | 'connectMs' | 'awayMs'>;

interface Receiver {
  readonly child: ChildProcess;
  readonly connections: number;
  latest: ReceiverFigures | undefined;
  alive: boolean;
}

export class Fleet {
  readonly #receivers: readonly Receiver[];
  readonly #died: (why: string) => void;
  #latencies: Latencies[] = [];
  #connectMs: Latencies[] = [];
  #awayMs: Latencies[] = [];
  #ending = false;

  /** `died` is told when a process ends that should not. */
  constructor(connections: readonly number[], died: (why: string) => void) {
    this.#died = died;
    this.#receivers = connections.map((count) => {
      const execArgv = [...process.execArgv, ...FLAGS];
      const receiver: Receiver = {
        child: fork(SCRIPT, [], { execArgv, serialization: 'advanced' }),
        connections: count,
        latest: undefined,
        alive: true,
      };
      this.#listen(receiver);
      return receiver;
    });
  }

  get pids(): readonly number[] {
    return this.#receivers.flatMap(({ child }) => child.pid ?? []);
  }

  get size(): number {
    return this.#receivers.length;
  }

  /** Connections and event loop of each process. */
  each(): readonly { readonly pid: number; readonly open: number; readonly loop: number }[] {
    return this.#receivers.map(({ child, latest }) => ({
      pid: child.pid ?? 0,
      open: latest?.open ?? 0,
      loop: latest?.loop ?? 0,
    }));
  }

  /** `setup` for the process whose first connection has this number. */
  setUp(setup: (first: number, count: number, at: number) => ReceiverSetup): void {
    let first = 0;
    for (const [at, receiver] of this.#receivers.entries()) {
      this.#tell(receiver, { do: 'setup', setup: setup(first, receiver.connections, at) });
      first += receiver.connections;
    }
  }

  /** Tokens for the next connections of the process at this place; all have been sent when it resolves. */
  give(at: number, tokens: readonly string[]): Promise<void> {
    const receiver = this.#receivers[at] as Receiver;
    if (!receiver.alive) return Promise.resolve();
    return new Promise((resolve) =>
      receiver.child.send({ do: 'tokens', tokens } satisfies ReceiverOrder, () => resolve()),
    );
  }

  /** The same order to all. */
  tell(order: ReceiverOrder): void {
    for (const receiver of this.#receivers) this.#tell(receiver, order);
  }

  /** What they say last, after they were asked. */
  async report(): Promise<FleetFigures> {
    await Promise.all(this.#receivers.map((one) => this.#ask(one, { do: 'report' }, 'figures', REPORT_MS)));
    return this.figures();
  }

  /** Each process is given the numbers that concern it. Who does not answer is left out. */
  async audit(numbersFor: (first: number, count: number) => AuditNumbers): Promise<readonly ReceiverAudit[]> {
    let first = 0;
    const asked = this.#receivers.map((receiver) => {
      const order: ReceiverOrder = { do: 'audit', ...numbersFor(first, receiver.connections) };
      first += receiver.connections;
      return this.#ask(receiver, order, 'audit', AUDIT_MS);
    });
    return (await Promise.all(asked)).flatMap((word) => (word?.say === 'audit' ? [word.audit] : []));
  }

  /** What the processes said last. */
  figures(): FleetFigures {
    const all = this.#receivers.flatMap(({ latest }) => latest ?? []);
    const reasons = (of: (figures: ReceiverFigures) => Readonly<Record<string, number>>) => {
      const counts: Record<string, number> = {};
      for (const one of all)
        for (const [reason, count] of Object.entries(of(one))) counts[reason] = (counts[reason] ?? 0) + count;
      return counts;
    };
    const sum = (of: (figures: ReceiverFigures) => number) => all.reduce((total, one) => total + of(one), 0);
    const most = (of: (figures: ReceiverFigures) => number) => all.reduce((max, one) => Math.max(max, of(one)), 0);
    return {
      open: sum(({ open }) => open),
      settled: sum(({ settled }) => settled),
      failed: reasons(({ failed }) => failed),
      received: sum(({ received }) => received),
      bytes: sum(({ bytes }) => bytes),
      redelivered: sum(({ redelivered }) => redelivered),
      gaps: sum(({ gaps }) => gaps),
      foreign: sum(({ foreign }) => foreign),
      churned: sum(({ churned }) => churned),
      away: sum(({ away }) => away),
      broke: reasons(({ broke }) => broke),
      returned: sum(({ returned }) => returned),
      retries: reasons(({ retries }) => retries),
      resumed: sum(({ resumed }) => resumed),
      lastAt: most(({ lastAt }) => lastAt),
      loop: most(({ loop }) => loop),
      loopP99Ms: most(({ loopP99Ms }) => loopP99Ms),
    };
  }

  /** Latencies since the last time. */
  takeLatencies(): Latencies {
    const taken = addUp(this.#latencies);
    this.#latencies = [];
    return taken;
  }

  /** From dial to answer, since the last time. */
  takeConnectMs(): Latencies {
    const taken = addUp(this.#connectMs);
    this.#connectMs = [];
    return taken;
  }

  /** From breaks to returns, since the last time. */
  takeAwayMs(): Latencies {
    const taken = addUp(this.#awayMs);
    this.#awayMs = [];
    return taken;
  }

  end(): void {
    this.#ending = true;
    this.tell({ do: 'end' });
  }

  #listen(receiver: Receiver): void {
    const { child } = receiver;
    child.on('message', (word: ReceiverWord) => {
      if (word.say !== 'figures') return;
      receiver.latest = word.figures;
      if (word.figures.latencies.length > 0) this.#latencies.push(word.figures.latencies);
      if (word.figures.connectMs.length > 0) this.#connectMs.push(word.figures.connectMs);
      if (word.figures.awayMs.length > 0) this.#awayMs.push(word.figures.awayMs);
    });
    const ended = (why: string) => {
      if (!receiver.alive) return;
      receiver.alive = false;
      if (receiver.latest !== undefined) receiver.latest = { ...receiver.latest, open: 0, loop: 0, loopP99Ms: 0 };
      if (!this.#ending) this.#died(`a receiver process ended (${why})`);
    };
    child.on('error', (error: NodeJS.ErrnoException) => ended(error.code ?? error.message));
    child.on('exit', (code, signal) => ended(String(signal ?? code)));
  }

  #tell(receiver: Receiver, order: ReceiverOrder): void {
    if (receiver.alive && receiver.child.connected) receiver.child.send(order, () => undefined);
  }

  /** undefined: it did not answer in time, or is gone. */
  #ask(
    receiver: Receiver,
    order: ReceiverOrder,
    answer: ReceiverWord['say'],
    patienceMs: number,
  ): Promise<ReceiverWord | undefined> {
    if (!receiver.alive) return Promise.resolve(undefined);
    const { child } = receiver;
    return new Promise((resolve) => {
      const done = (word: ReceiverWord | undefined) => {
        clearTimeout(patience);
        child.off('message', onMessage);
        child.off('exit', onExit);
        resolve(word);
      };
      const onMessage = (word: ReceiverWord) => {
        if (word.say === answer) done(word);
      };
      const onExit = () => done(undefined);
      const patience = setTimeout(onExit, patienceMs);
      child.on('message', onMessage);
      child.on('exit', onExit);
      this.#tell(receiver, order);
    });
  }
}
