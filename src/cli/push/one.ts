// A push of one message: to a user, to many, to rooms, or to all. One request where one is enough.

import { ImgoError } from '../../protocol/errors.js';
import { formatDuration } from '../../server/units.js';
import type { Api } from '../api.js';
import type { MessageName } from '../message/name.js';
import { printFreshTrace } from '../message/trace.js';
import type { Output } from '../output.js';
import { renderError } from '../report.js';
import { columns, isColoured } from '../style.js';
import type { MessageField } from './message.js';
import { Retries, tellRetry } from './retry.js';
import { type PushTarget, requestTargets } from './target.js';

/** How a message is pushed. */
export interface PushOptions {
  readonly ttl: string | undefined;
  readonly key: string | undefined;
  /** Until it was taken, at most so long; undefined: until it was accepted. */
  readonly waitMs: number | undefined;
  /** What becomes of it is printed. */
  readonly trace: boolean;
}

interface Delivery {
  readonly online: number;
  readonly delivered: number;
  readonly ms: number;
  readonly keptUntil: string;
}

interface OneAnswer {
  readonly log: string;
  readonly id: string | null;
  readonly trace?: string;
  readonly delivery?: Delivery;
}

interface SeveralAnswer {
  readonly ids: Readonly<Record<string, string | null>>;
  readonly errors: Readonly<Record<string, string>>;
  readonly trace?: string;
  readonly delivery?: Delivery;
}

/** How long `--trace` waits for the end of a message, ms. */
const TRACE_WAIT_MS = 2_000;
/** Users of one push whose traces are printed. */
const TRACED_MAX = 10;

/** The body of one request. */
export function pushBody(to: string, message: MessageField, ttl: string | undefined, trace = false): Buffer {
  const rest = `${ttl === undefined ? '' : `,"ttl":${JSON.stringify(ttl)}`}${trace ? ',"trace":true' : ''}}`;
  return Buffer.concat([Buffer.from(`{"to":${to},`), message.field, Buffer.from(rest)]);
}

/** Pushes, prints ids, says what became of it. Sets exit status 6 when part of it was not accepted, 124 when not all took it in time. */
export async function pushMessage(
  api: Api,
  target: PushTarget,
  message: MessageField,
  options: PushOptions,
  output: Output,
): Promise<void> {
  const several: { ids: Record<string, string | null>; errors: Record<string, string> } = { ids: {}, errors: {} };
  let delivery: Delivery | undefined;
  const traced: MessageName[] = [];
  for (const { to } of requestTargets(target, message.bytes)) {
    const answer = await send(api, pushBody(to, message, options.ttl, options.trace), target, options, output);
    if (options.trace) traced.push(...namesOf(answer).slice(0, TRACED_MAX - traced.length));
    delivery = added(delivery, answer.delivery);
    if ('log' in answer) await printOne(answer, target, output);
    else {
      Object.assign(several.ids, answer.ids);
      Object.assign(several.errors, answer.errors);
    }
  }
  if (target.kind === 'users' && target.users.length > 1)
    await printSeveral(several, delivery, target.users.length, output);
  if (!output.json) output.note(remark(api, options, delivery));
  for (const name of traced) await printFreshTrace(api, name, TRACE_WAIT_MS, output);
  if (options.waitMs !== undefined && delivery !== undefined && delivery.delivered < delivery.online) {
    throw new ImgoError('timeout', { duration: formatDuration(options.waitMs) });
  }
}

/** The messages of an answer, by name. */
function namesOf(answer: OneAnswer | SeveralAnswer): readonly MessageName[] {
  const { trace = '' } = answer;
  if ('log' in answer) return [{ log: answer.log, id: answer.id ?? `t-${trace}` }];
  return Object.entries(answer.ids).map(([user, id]) => ({ log: `user:${user}`, id: id ?? `t-${trace}` }));
}

async function send(
  api: Api,
  body: Buffer,
  target: PushTarget,
  { key, waitMs, ttl }: PushOptions,
  output: Output,
): Promise<OneAnswer | SeveralAnswer> {
  // Asking for no wait at all still tells who is online: for people only, and only where the server can say it.
  const curious = target.kind === 'users' && ttl !== '0' && output.isWatched && !output.json && !output.quiet;
  const wait = waitMs ?? (curious ? 0 : undefined);
  const path = wait === undefined ? '/v1/push' : `/v1/push?wait=${formatDuration(wait)}`;
  const retries = new Retries();
  for (;;) {
    try {
      return await api.json<OneAnswer | SeveralAnswer>({
        method: 'POST',
        path,
        body,
        timeoutMs: 15_000 + (waitMs ?? 0),
        ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
      });
    } catch (error) {
      if (key === undefined || !(error instanceof ImgoError) || !error.retryable) throw error;
      tellRetry(retries, error, output);
      if (!(await retries.next())) throw error;
    }
  }
}

function added(sum: Delivery | undefined, one: Delivery | undefined): Delivery | undefined {
  if (sum === undefined || one === undefined) return one ?? sum;
  const { online, delivered, ms } = sum;
  return { ...one, online: online + one.online, delivered: delivered + one.delivered, ms: Math.max(ms, one.ms) };
}

async function printOne(answer: OneAnswer, target: PushTarget, output: Output): Promise<void> {
  if (output.json) return output.object(answer);
  if (answer.id === null) return;
  const isOnly = target.kind === 'all' || (target.kind === 'users' ? target.users : target.rooms).length === 1;
  await output.line(isOnly ? answer.id : `${answer.log}@${answer.id}`);
}

async function printSeveral(
  { ids, errors }: Pick<SeveralAnswer, 'ids' | 'errors'>,
  delivery: Delivery | undefined,
  total: number,
  output: Output,
): Promise<void> {
  if (output.json) await output.object({ ids, errors, ...(delivery === undefined ? {} : { delivery }) });
  else for (const [user, id] of Object.entries(ids)) if (id !== null) await output.line(`user:${user}@${id}`);
  const failed = Object.entries(errors);
  if (failed.length === 0) return;
  if (!output.json) for (const [user, code] of failed) output.note(`user:${user}: ${code}`);
  tellPartly(failed.length, total);
}

/** Part of a bulk failed: the data says which, this says so, the status is 6. */
export function tellPartly(failed: number, total: number): void {
  const error = new ImgoError('partial', { failed, total });
  process.exitCode = error.exit;
  const { stderr } = process;
  stderr.write(`${renderError(error, columns(stderr), isColoured(stderr), stderr.isTTY === true)}\n`);
}

function remark(api: Api, { ttl, waitMs }: PushOptions, delivery: Delivery | undefined): string {
  if (ttl === '0') return 'Sent to who is connected; nothing is kept.';
  const data = api.server.runFile?.data;
  const accepted = data === undefined ? 'Accepted.' : data === 'memory' ? 'Accepted, in memory.' : 'Accepted, on disk.';
  if (delivery === undefined) return accepted;
  const { online, delivered, ms, keptUntil } = delivery;
  const sessions = `${online} session${online === 1 ? '' : 's'}`;
  if (online === 0) return `${accepted} Nobody is online: kept for ${roughly(Date.parse(keptUntil) - Date.now())}.`;
  if (waitMs === undefined) return `${accepted} ${sessions} online.`;
  return `${accepted} Delivered to ${delivered} of ${sessions} in ${Math.max(1, Math.round(ms))} ms.`;
}

/** `7 d`, `12 h`, `30 s`. */
function roughly(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}
