/** `--mode http`: the push API by itself, as many calls as it takes. autocannon drives it from a process of its own. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Cut } from './cut.js';
import type { HttpFigures } from './figures.js';
import type { DriveDone, DriveOrder, DriveWord } from './http-drive.js';
import type { Counts } from './offer.js';
import type { BenchPlan } from './plan.js';
import type { Target } from './target.js';

const SCRIPT = fileURLToPath(new URL('./http-drive.js', import.meta.url));
/** One process dials them all at once: as many as may wait to be accepted. */
export const MOST_HTTP_CONNECTIONS = 4_000;

export interface HttpDrive {
  readonly done: Promise<void>;
  readonly counts: Counts;
  /** undefined: it was cut short before there was anything to tell. */
  figures(serverCpuSeconds: number): HttpFigures | null;
  stop(): void;
}

/** Begins at once. A process that dies cuts the run short. */
export function driveHttp(plan: BenchPlan, target: Target, cut: Cut): HttpDrive {
  const { dialect, mode, seed, connections, rooms, sizeBytes, durationMs } = plan;
  const child = fork(SCRIPT, [], { execArgv: process.execArgv });
  let requests = 0;
  let found: DriveDone | undefined;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  child.on('message', (word: DriveWord) => {
    if (word.say === 'requests') requests = word.requests;
    else {
      found = word.done;
      resolve();
    }
  });
  child.on('exit', (code, signal) => {
    if (found === undefined) cut.short(`the process that calls the API ended (${signal ?? code})`);
    resolve();
  });
  cut.signal.addEventListener('abort', () => child.connected && child.send({ do: 'stop' } satisfies DriveOrder));
  const names = { dialect, native: target.native, userBase: target.userBase };
  child.send({
    do: 'drive',
    url: target.httpUrl,
    key: target.key,
    names,
    aiming: { mode: mode === 'http' ? 'user' : mode, seed, connections, rooms },
    connections,
    sizeBytes,
    durationMs,
  } satisfies DriveOrder);
  return {
    done,
    get counts() {
      if (found === undefined) return { offered: requests, accepted: requests, refused: 0, unknown: 0 };
      const { accepted, non2xx, errors } = found;
      return { offered: accepted + non2xx + errors, accepted, refused: non2xx, unknown: errors };
    },
    figures: (serverCpuSeconds) => {
      if (found === undefined) return null;
      const { accepted, non2xx, errors, latencyMs, requestsPerSecond, bytesPerSecond } = found;
      const requestsPerCpuSecond = serverCpuSeconds > 0 ? accepted / serverCpuSeconds : 0;
      return { requestsPerSecond, latencyMs, non2xx, errors, bytesPerSecond, requestsPerCpuSecond };
    },
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}
