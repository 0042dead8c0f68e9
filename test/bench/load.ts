// Sessions of `imgo bench` beside which something is measured, and what they had every second.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { LAUNCHER } from '../harness/server.js';
import { cpuSecondsOf } from './kernel.js';

/** A second of the load, as `imgo bench --out` has it. */
export interface Second {
  /** Wall ms, when it ended. */
  readonly at: number;
  readonly delivered: number;
  readonly p99Ms: number;
  /** The share of the machine. */
  readonly idle: number;
}

export interface Load {
  /** Resolves when it measures. */
  readonly measures: Promise<void>;
  /** Resolves when it has ended by itself. */
  readonly seconds: Promise<readonly Second[]>;
  readonly end: () => void;
}

interface Addresses {
  readonly http: string;
  readonly tcp: string;
}

/** Native sessions over TCP for so long. `load`: more of the arguments. */
export function startLoad({ http, tcp }: Addresses, folder: string, load: readonly string[], durationMs: number): Load {
  const out = join(folder, `${load.join('')}.json`);
  const ofClients = ['--dialect', 'native', '--clients', `tcp://${tcp}`, '--duration', `${durationMs}ms`];
  const args = ['bench', '--server', http, ...ofClients, ...load, '--no-reference', '--out', out];
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const measures = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      said = line;
      if (line.startsWith('MEASURE')) resolve();
    });
    child.once('exit', () => reject(new Error(`the load ended: ${said}`)));
  });
  const seconds = new Promise<readonly Second[]>((resolve, reject) => {
    child.once('exit', (status) => {
      try {
        resolve(secondsOf(readFileSync(out, 'utf8')));
      } catch (error) {
        reject(new Error(`the load ended with ${status}: ${said}`, { cause: error }));
      }
    });
  });
  seconds.catch(() => {});
  return { measures, seconds, end: () => void child.kill('SIGKILL') };
}

function secondsOf(text: string): readonly Second[] {
  const result = JSON.parse(text) as {
    readonly at: string;
    readonly lost: number;
    readonly samples: readonly {
      readonly seconds: number;
      readonly phase: string;
      readonly delivered: number;
      readonly latencyMs: { readonly p99: number } | null;
      readonly machine: { readonly idle: number };
    }[];
  };
  if (result.lost > 0) throw new Error(`${result.lost} messages were lost`);
  const began = Date.parse(result.at);
  return result.samples.flatMap(({ seconds, phase, delivered, latencyMs, machine }, index) => {
    if (phase !== 'measure' || latencyMs === null) return [];
    const rate = delivered - (result.samples[index - 1]?.delivered ?? 0);
    return [{ at: began + seconds * 1_000, delivered: rate, p99Ms: latencyMs.p99, idle: machine.idle }];
  });
}

/** Given to sockets so far, at all workers. */
async function deliveriesOf(http: string): Promise<number> {
  const response = await fetch(`${http}/v1/stats`);
  const { comets } = (await response.json()) as { comets: { counters: Record<string, number> }[] };
  return comets.reduce((sum, { counters }) => sum + (counters['topics_deliveries'] ?? 0), 0);
}

/** CPU seconds of these processes for a delivery, over so long. */
export async function cpuOfDelivery(http: string, processes: readonly number[], ms: number): Promise<number> {
  const deliveries = await deliveriesOf(http);
  const cpu = cpuSecondsOf(processes);
  await pause(ms);
  const used = cpuSecondsOf(processes) - cpu;
  return used / ((await deliveriesOf(http)) - deliveries);
}
