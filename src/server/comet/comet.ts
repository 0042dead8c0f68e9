// The comet role: holds connections in four dialects over TCP and WebSocket, and gives them what their logs hold. It asks
// logic for everything about identity and storage; jobs and logics reach it through its CometService.

import type { Socket } from 'node:net';
import { DISCONNECT } from '../../protocol/disconnect.js';
import { ALL_LOG, type NodeId } from '../../protocol/ids.js';
import { type Clock, pause, type Timer } from '../clock.js';
import { Failures } from '../failures.js';
import type { EventHub } from '../observe/hub.js';
import { TraceStore } from '../observe/traces.js';
import type { NodeRecord, Role } from '../router/registry.js';
import type { LeaseService } from '../rpc/calls.js';
import type { CometService, LogicService } from '../rpc/services.js';
import { CometCore, type Turns } from './core.js';
import { Drain } from './drain.js';
import { handleFrame, handleText } from './inbound.js';
import { LeaseKeeper, RENEWAL } from './lease.js';
import { type CometAddresses, Listeners, type ListenPorts } from './listeners.js';
import { type CometOptions, type LiveCometOptions, takeOver } from './options.js';
import { rejoin, rereadHeads, revalidateAll } from './rejoin.js';
import { LocalCometService } from './service.js';
import { serveTcp } from './tcp.js';

/** What a comet logs with: a pino logger fits. */
export interface CometLog {
  warn(details: object, message: string): void;
}

/** What a comet is made of. */
export interface CometParts {
  readonly options: CometOptions;
  readonly logic: LogicService;
  /** Where its lease is. */
  readonly registry: LeaseService;
  readonly clock: Clock;
  readonly log: CometLog;
  readonly node: NodeId;
  readonly version: string;
  readonly renewMs: number;
  /** Where jobs and logics reach it; empty in one process. */
  readonly address?: string;
  /** Of this process; comet alone unless they are given. */
  readonly roles?: readonly Role[];
  /** Another process has this node's name now: this one has lost its clients, and is of no more use. */
  readonly onTaken?: (holder: NodeRecord) => void;
  readonly turns?: Turns;
  /** Where events of this node go; one of its own unless given. */
  readonly hub?: EventHub;
  /** Where steps of messages that are traced are noted; of the process, where other roles note theirs. */
  readonly traces?: TraceStore | undefined;
}

/** A comet that has joined the registry. */
export interface Comet {
  readonly service: CometService;
  /** Takes connections. `ports` for listeners that asked for any. @throws ImgoError port_in_use, listen_refused */
  listen(ports?: ListenPorts): Promise<void>;
  /** Takes none any more; those that are there stay. */
  close(): Promise<void>;
  addresses(): CometAddresses;
  /** Codes of what keeps it from taking clients: `fenced`, `draining`. */
  problems(): readonly string[];
  /** Goes on with these. */
  reload(live: LiveCometOptions): void;
  /** Takes a connection that somebody else accepted: TCP, any dialect but goim's own port. */
  serve(socket: Socket): void;
  /** Graceful: no new connections, each client told when to come back, positions reported, the registry left. Idempotent. */
  stop(timeoutMs: number): Promise<void>;
}

const REVALIDATE_MS = 60_000;
/** Of that time, what a round is spread over. */
const REVALIDATE_SHARE = 0.8;
const STOP_BATCH = 500;
const STOP_POLL_MS = 20;

/** Joins the registry and opens the log `all`; `listen` then takes connections. */
export async function createComet(parts: CometParts): Promise<Comet> {
  const comet = new CometRole(parts);
  await comet.join();
  return comet;
}

class CometRole implements Comet {
  readonly service: LocalCometService;
  readonly #parts: CometParts;
  readonly #core: CometCore;
  readonly #lease: LeaseKeeper;
  readonly #listeners: Listeners;
  readonly #drain: Drain;
  #validating: Timer | undefined;
  #revalidating = false;
  #stopping: Promise<void> | undefined;

  constructor(parts: CometParts) {
    const { options, logic, registry, clock, log, node, version, renewMs, address = '', turns } = parts;
    const { roles = ['comet'] } = parts;
    this.#parts = parts;
    this.#core = new CometCore({
      inbound: { frame: handleFrame, text: handleText },
      options,
      logic,
      clock,
      node,
      incarnation: 0,
      turns,
      hub: parts.hub,
      traces: parts.traces ?? new TraceStore(clock, node),
    });
    const failures = new Failures(clock, log, RENEWAL);
    this.#lease = new LeaseKeeper(registry, clock, { node, version, address, roles }, renewMs, {
      held: ({ incarnation, holdsMs }, sentAt) => {
        failures.over();
        this.#held(incarnation, holdsMs, sentAt);
      },
      rejoined: async () => this.#rejoined(),
      taken: (holder) => this.#taken(holder),
      resync: () => this.service.resync(),
      failed: (error) => failures.report(error),
    });
    this.#listeners = new Listeners(this.#core, (alarm) =>
      log.warn(
        alarm,
        `connections are refused: ${alarm.code === 'fd_limit' ? 'limits.reserve_fds' : 'limits.max_conns'}`,
      ),
    );
    this.#drain = new Drain(this.#core, this.#listeners, (draining) => {
      this.#lease.state = draining ? 'draining' : 'ok';
      log.warn({ draining }, draining ? 'this node is being emptied' : 'this node takes connections again');
    });
    this.service = new LocalCometService(this.#core, this.#drain, () => this.#listeners.capacity);
  }

  async join(): Promise<void> {
    await this.#lease.join();
    this.#lease.start();
    this.#core.start();
    // Held for good: a comet always serves `all`.
    await this.#core.topics.acquire(ALL_LOG);
    this.#validating = this.#parts.clock.every(REVALIDATE_MS, () => this.#revalidate());
  }

  listen(ports: ListenPorts = {}): Promise<void> {
    return this.#listeners.open(ports);
  }

  close(): Promise<void> {
    return this.#listeners.close();
  }

  addresses(): CometAddresses {
    return this.#listeners.addresses();
  }

  problems(): readonly string[] {
    return [...(this.#core.fence.open ? [] : ['fenced']), ...(this.#drain.active ? ['draining'] : [])];
  }

  reload(live: LiveCometOptions): void {
    takeOver(this.#core.options, live);
  }

  serve(socket: Socket): void {
    serveTcp(this.#core, socket, 'tcp');
  }

  stop(timeoutMs: number): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs);
    return this.#stopping;
  }

  async #stop(timeoutMs: number): Promise<void> {
    const { clock } = this.#parts;
    const core = this.#core;
    const deadline = clock.monotonic() + timeoutMs;
    await this.#listeners.close();
    this.#drain.stop();
    clock.clear(this.#validating);
    core.departures.last();
    const told: Promise<void>[] = [];
    let batch = 0;
    for (const session of [...core.connections]) {
      told.push(core.closing(() => session.close(DISCONNECT.shutdown)));
      if (++batch % STOP_BATCH === 0) await new Promise<void>((resolve) => clock.soon(resolve));
    }
    const left = Promise.all(told).then(() => undefined);
    await Promise.race([left, pause(clock, Math.max(0, deadline - clock.monotonic()))]);
    while (core.connections.size > 0 && clock.monotonic() < deadline) await pause(clock, STOP_POLL_MS);
    for (const session of [...core.connections]) session.socket.destroy();
    await this.#lease.leave();
    core.stop();
  }

  /** A round at a time; one that takes longer than its time is followed by the next at the one after. */
  #revalidate(): void {
    if (this.#revalidating) return;
    this.#revalidating = true;
    void revalidateAll(this.#core, REVALIDATE_MS * REVALIDATE_SHARE).finally(() => {
      this.#revalidating = false;
    });
  }

  #held(incarnation: number, holdsMs: number, sentAt: number): void {
    const { fence } = this.#core;
    const wasOpen = fence.open;
    const first = fence.incarnation === 0;
    if (fence.renewed(incarnation, sentAt, holdsMs) && !first) fence.suspended = true;
    if (wasOpen || first || !fence.open) return;
    // The lease had run out and was held all the same: nobody was told, but sources stand still until they are asked.
    rereadHeads(this.#core).catch((error: unknown) => {
      this.#parts.log.warn({ error: String(error) }, 'heads could not be read again');
    });
  }

  #taken(holder: NodeRecord): void {
    this.#core.fence.suspended = true;
    this.#drain.stop();
    void this.#listeners.close();
    for (const session of [...this.#core.connections]) session.close(DISCONNECT.fenced);
    this.#parts.onTaken?.(holder);
  }

  #rejoined(): void {
    const { fence } = this.#core;
    const { incarnation } = fence;
    rejoin(this.#core, () => fence.incarnation === incarnation && this.#stopping === undefined).catch(
      (error: unknown) => {
        this.#parts.log.warn({ error: String(error) }, 'a new lease could not be taken up');
      },
    );
  }
}
