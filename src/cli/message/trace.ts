// `imgo trace`, and `push --trace`: what became of a message, step by step.

import { setTimeout as wait } from 'node:timers/promises';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { localise, printable } from '../style.js';
import { type MessageName, messagePath } from './name.js';
import { type ShownTrace, timeline } from './timeline.js';

const POLL_MS = 100;
/** Outcomes that nothing follows. */
const SETTLED: ReadonlySet<string> = new Set(['acknowledged', 'lost']);

/** Prints the life of a message. @throws ImgoError message_not_found, what the server says */
export async function printTrace(api: Api, name: MessageName, output: Output): Promise<void> {
  await show(await load(api, name), output);
}

/** The same of a message that was pushed a moment ago: for `waitMs` its end is waited for. */
export async function printFreshTrace(api: Api, name: MessageName, waitMs: number, output: Output): Promise<void> {
  const until = performance.now() + waitMs;
  let trace = await load(api, name);
  while (!isSettled(trace) && performance.now() < until) {
    await wait(POLL_MS);
    trace = await load(api, name);
  }
  // Nodes answer one after the other: one that was asked early has noted more by now, of what came before the end.
  if (isSettled(trace)) trace = await load(api, name);
  await show(trace, output);
}

function load(api: Api, name: MessageName): Promise<ShownTrace> {
  return api.json<ShownTrace>({ path: messagePath('/v1/trace', name) });
}

/** Of a room nobody acknowledges: it is over when the members were given it, and of one that nobody is in at once. */
function isSettled({ log, steps, verdict }: ShownTrace): boolean {
  if (SETTLED.has(verdict.outcome)) return true;
  if (verdict.outcome === 'kept' && verdict.reason !== null) return true;
  const given = verdict.outcome === 'delivered';
  return given && (!log.startsWith('user:') || steps.some(({ step, ttlMs }) => step === 'accepted' && ttlMs === 0));
}

async function show(trace: ShownTrace, output: Output): Promise<void> {
  if (output.json) return output.object(trace);
  for (const line of timeline(trace)) await output.line(localise(printable(line)));
}
