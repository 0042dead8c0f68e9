/**
 * The logics, as a comet in another process sees them: one service, whichever of them answers. It is found where the
 * settings say (addresses, or a name that DNS knows), and from then on where a logic says the others are. When the one that is
 * used is gone, the next one is asked, and what was asked may have been done twice: every call here may be, because
 * registrations carry numbers, positions only grow, and an open carries what its session's id is made of.
 */
import { lookup } from 'node:dns/promises';
import { ImgoError } from '../../protocol/errors.js';
import { type Clock, pause, type Timer } from '../clock.js';
import { isUntouched } from '../open-limit.js';
import type { Lease } from '../router/registry.js';
import { Abandoned } from './abandoned.js';
import type { Peer } from './admission.js';
import { type LeaseService, SERVICE_CALLS } from './calls.js';
import type { Channel } from './channel.js';
import { DialledLink } from './dial.js';
import type { CallerKeys } from './keys.js';
import { twin } from './remote.js';
import type { ClusterService, LogicService, OpenRequest, Welcome } from './services.js';

export interface LogicsOptions {
  readonly clock: Clock;
  readonly self: Peer;
  readonly channel: Channel;
  readonly key: Uint8Array;
  /** `host:port` or `dns:name:port`. */
  readonly seeds: readonly string[];
  readonly silenceMs: number;
  /** Who may dial this comet, as of its newest lease. */
  readonly onCallers: (keys: CallerKeys) => void;
  /** The time that a logic said, wall ms, and when it was asked, monotonic ms. */
  readonly onTime?: ((said: number, askedAt: number) => void) | undefined;
  readonly log: { warn(details: object, message: string): void };
}

/** Of one attempt; and of all attempts of a call. ms */
const ATTEMPT_MS = 5_000;
const CALL_MS = 10_000;
/** A renewal that waits longer than this is better asked of another logic. */
const RENEW_ATTEMPT_MS = 2_000;
const REFRESH_MS = 2_000;
/** How often another logic is chosen, so that one that came back gets its share. */
const MOVE_MS = 60_000;
const AGAIN_MS = 100;
const LOG_MS = 5_000;
const NONCE_BYTES = 18;

export class Logics {
  readonly logic: LogicService;
  readonly lease: LeaseService;
  readonly #options: LogicsOptions;
  readonly #cluster: ClusterService;
  readonly #opening = new Map<OpenRequest, string>();
  readonly #abandoned: Abandoned;
  readonly #links = new Map<string, DialledLink>();
  /** Addresses that are worth a try. */
  #known: readonly string[] = [];
  #current: DialledLink | undefined;
  #movesAt = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #refresher: Timer | undefined;
  #refreshing = false;
  #stopped = false;

  constructor(options: LogicsOptions) {
    this.#options = options;
    const call = (method: string, args: readonly unknown[]) => this.#call(method, args, ATTEMPT_MS);
    const renewals = (method: string, args: readonly unknown[]) => this.#call(method, args, RENEW_ATTEMPT_MS);
    this.logic = {
      ...twin<LogicService, keyof LogicService>('logic', SERVICE_CALLS.logic, call),
      open: (request) => this.#open(request),
      callOff: (request) => this.#callOff(request),
    };
    this.#cluster = twin<ClusterService, keyof ClusterService>('cluster', SERVICE_CALLS.cluster, call);
    this.#abandoned = new Abandoned(
      options.clock,
      (request) => this.#cluster.abandon(request),
      () => this.#report(new Error('an open that failed could not be taken back: it stays registered')),
    );
    const lease = twin<LeaseService, keyof LeaseService>('lease', SERVICE_CALLS.lease, renewals);
    this.lease = {
      ...lease,
      join: async (node) => {
        const { callers, ...joined } = (await lease.join(node)) as Lease & { readonly callers: CallerKeys };
        options.onCallers(callers);
        return joined;
      },
    };
  }

  /** A call would go out at once. */
  get reachable(): boolean {
    return this.#current?.isUp === true;
  }

  /** Resolves when a logic has answered; asks on until one does, or `signal` aborts. */
  async start(signal: AbortSignal): Promise<Welcome | undefined> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      try {
        const welcome = await this.#refresh();
        this.#refresher = clock.every(REFRESH_MS, () => this.#keepUp());
        return welcome;
      } catch (error) {
        this.#report(error);
        await pause(clock, AGAIN_MS * 5, signal);
      }
    }
    return undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#abandoned.stop();
    this.#options.clock.clear(this.#refresher);
    for (const link of this.#links.values()) link.close();
  }

  async #open(request: OpenRequest) {
    const nonce = Buffer.from(this.#options.clock.randomBytes(NONCE_BYTES)).toString('base64url');
    const whole: OpenRequest = { ...request, nonce };
    this.#opening.set(request, nonce);
    let lost = false;
    const onLost = () => {
      lost = true;
    };
    try {
      // A logic that is slow is not helped by another one that does the same for nobody.
      const withinMs = Math.min(request.withinMs ?? CALL_MS, CALL_MS);
      const reply = await this.#call('logic.open', [whole], Math.max(withinMs, ATTEMPT_MS), { withinMs, onLost });
      return reply as Awaited<ReturnType<LogicService['open']>>;
    } catch (error) {
      // A logic that could not do all of it, because its store did not answer, may have registered it all the same; so may one
      // that was asked and is gone, of which the one that refuses it knows nothing. Where none was reached there is nothing.
      const nothing = isUnreachable(error) || isUntouched(error) || isRefused(error);
      if (lost || !nothing) this.#abandoned.add(whole);
      throw error;
    } finally {
      this.#opening.delete(request);
    }
  }

  /** Only said, to the logic that is asked now: what it does not hear it finds out when the time is over. */
  #callOff(request: OpenRequest): void {
    const nonce = this.#opening.get(request);
    if (nonce !== undefined && this.#current?.isUp === true) {
      this.#current.call('cluster.callOff', [request.comet, nonce]).catch(() => undefined);
    }
  }

  /** Asks one logic after the other until one answers, or the time is over. `onLost`: one was asked that did not answer. */
  async #call(
    method: string,
    args: readonly unknown[],
    attemptMs: number,
    { withinMs = CALL_MS, onLost }: { readonly withinMs?: number; readonly onLost?: () => void } = {},
  ): Promise<unknown> {
    const { clock } = this.#options;
    const until = clock.monotonic() + withinMs;
    for (;;) {
      const link = this.#choose();
      const left = until - clock.monotonic();
      try {
        if (link === undefined) throw new ImgoError('node_unreachable', { node: 'logic' });
        return await link.call(method, args, Math.min(attemptMs, left));
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        if (link?.isDown === false) onLost?.();
        if (this.#current === link) this.#current = undefined;
        if (this.#stopped || clock.monotonic() + AGAIN_MS > until) throw error;
        if (this.#known.every((address) => this.#links.get(address)?.isDown !== false)) await pause(clock, AGAIN_MS);
      }
    }
  }

  #choose(): DialledLink | undefined {
    const { clock } = this.#options;
    if (this.#current !== undefined && clock.monotonic() < this.#movesAt) return this.#current;
    const fresh = this.#known.filter((address) => this.#links.get(address)?.isDown !== true);
    const among = fresh.length > 0 ? fresh : this.#known;
    const address = among[Math.floor(clock.random() * among.length)];
    if (address === undefined) return undefined;
    this.#current = this.#linkTo(address);
    this.#movesAt = clock.monotonic() + MOVE_MS * (0.5 + clock.random());
    return this.#current;
  }

  #linkTo(address: string): DialledLink {
    const there = this.#links.get(address);
    if (there !== undefined) return there;
    const { clock, self, channel, key, silenceMs } = this.#options;
    const link = new DialledLink({
      clock,
      self,
      channel,
      address,
      key,
      silenceMs,
      deadlineMs: ATTEMPT_MS,
      onDown: (error) => {
        if (this.#current === link) this.#current = undefined;
        this.#report(error, address);
      },
    });
    this.#links.set(address, link);
    return link;
  }

  #keepUp(): void {
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.#refresh()
      .catch(() => undefined)
      .finally(() => {
        this.#refreshing = false;
      });
  }

  /** Where logics are, as the settings and one of them say. */
  async #refresh(): Promise<Welcome> {
    const seeds = await this.#seeds();
    this.#adopt(this.#known.length === 0 ? seeds : [...this.#known, ...seeds]);
    const { clock, onTime } = this.#options;
    const askedAt = clock.monotonic();
    const welcome = await this.#cluster.welcome();
    if (welcome.now !== undefined) onTime?.(welcome.now, askedAt);
    this.#adopt([...welcome.logics, ...seeds]);
    return welcome;
  }

  #adopt(addresses: readonly string[]): void {
    this.#known = [...new Set(addresses)];
    for (const [address, link] of this.#links) {
      if (this.#known.includes(address)) continue;
      this.#links.delete(address);
      if (this.#current === link) this.#current = undefined;
      link.close();
    }
  }

  async #seeds(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const seed of this.#options.seeds) {
      const [, name, port] = /^dns:(.+):(\d+)$/.exec(seed) ?? [];
      if (name === undefined) found.push(seed);
      else {
        const answers = await lookup(name, { all: true }).catch(() => []);
        for (const { address, family } of answers)
          found.push(family === 6 ? `[${address}]:${port}` : `${address}:${port}`);
      }
    }
    return found;
  }

  #report(error: unknown, logic?: string): void {
    const { clock, log } = this.#options;
    if (this.#stopped || clock.monotonic() - this.#loggedAt < LOG_MS) return;
    this.#loggedAt = clock.monotonic();
    log.warn({ logic, why: reasonOf(error) }, 'a logic does not answer; another one is asked');
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof ImgoError && error.code === 'token_refused';
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ImgoError && error.code === 'node_unreachable';
}

function reasonOf(error: unknown): string {
  if (!(error instanceof ImgoError)) return String(error);
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}
