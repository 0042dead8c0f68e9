// Pushes over HTTP with so many in flight, and writes down what it was told of each one. A broken connection or a 504 is
// `unknown`, unless the push has an idempotency key: then it is asked again until the answer is known.
import { Agent, request } from 'node:http';
import { fingerprint, type Journal, type PusherLine } from './journal.js';

export interface Job {
  /** `user:1`, `room:r`, `all`. */
  readonly to: string;
  /** The exact JSON text. */
  readonly message: string;
  readonly idempotencyKey?: string;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** One HTTP request; rejects when no whole answer came in time. */
export function call(
  url: string,
  method: string,
  body: string | undefined,
  headers: Record<string, string> = {},
  timeoutMs = 30_000,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const req = request(url, { method, agent, headers: { ...type, ...headers }, timeout: timeoutMs }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => {
        if (res.complete) resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
        else reject(new Error('the answer was cut'));
      });
      res.on('error', reject);
    });
    req.on('timeout', () => req.destroy(new Error(`no answer in ${timeoutMs / 1_000} s`)));
    req.on('error', reject);
    req.end(body);
  });
}

export class Pusher {
  readonly #base: () => string | undefined;
  readonly #journal: Journal<PusherLine>;
  inFlight = 0;
  done = 0;
  accepted = 0;

  /** `base`: the server's address, or undefined while it is down. */
  constructor(base: () => string | undefined, journal: Journal<PusherLine>) {
    this.#base = base;
    this.#journal = journal;
  }

  /** Pushes every job, `concurrency` at a time, each with a pause after it; waits while the server is down. */
  async run(jobs: Iterable<Job>, concurrency: number, pauseMs = 0): Promise<void> {
    const iterator = jobs[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
        await this.#push(next.value);
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  async #push(job: Job): Promise<void> {
    const { to, message, idempotencyKey } = job;
    const [kind = '', ...rest] = to.split(':');
    const name = JSON.stringify(rest.join(':'));
    const target = kind === 'all' ? '{"all":true}' : kind === 'room' ? `{"room":${name}}` : `{"user":${name}}`;
    const body = `{"to":${target},"message":${message}}`;
    const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    const line = { ...fingerprint(message), to };
    for (;;) {
      const base = await this.#up();
      this.inFlight++;
      try {
        const answer = await call(`${base}/v1/push`, 'POST', body, headers);
        if (answer.status === 200) {
          const { id } = JSON.parse(answer.body) as { id: string };
          this.accepted++;
          this.#journal.write({ ...line, outcome: 'accepted', id });
          break;
        }
        if (answer.status === 504) throw new Error('unknown');
        if (answer.status === 503 || answer.status === 507) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          continue;
        }
        this.#journal.write({ ...line, outcome: 'refused' });
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') continue;
        if (idempotencyKey === undefined) {
          this.#journal.write({ ...line, outcome: 'unknown' });
          break;
        }
      } finally {
        this.inFlight--;
      }
    }
    this.done++;
  }

  async #up(): Promise<string> {
    for (;;) {
      const base = this.#base();
      if (base !== undefined) return base;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
