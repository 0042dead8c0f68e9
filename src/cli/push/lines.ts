// `push --lines`: a push a line from stdin, a result a line to stdout in the same order, through POST /v1/push/batch.
// One group is under way at a time: memory stays small, and what is for one user keeps its order. Groups are repeated only
// with an idempotency key; without one a lost answer ends the run, and says how far it got.

import { asImgoError, errorFromProblem, ImgoError } from '../../protocol/errors.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { errorObject } from '../report.js';
import { type InputLine, lineGroups, MAX_LINE_BYTES } from './line-reader.js';
import { tellPartly } from './one.js';
import { Retries, tellRetry } from './retry.js';

/** How lines are pushed. */
export interface LinesOptions {
  /** Line N has the key KEY/N. */
  readonly key: string | undefined;
  /** Where a line says nothing of its own. */
  readonly ttl: string | undefined;
  readonly signal: AbortSignal;
}

/** A line on its way: its request, or the result it already has. */
interface Item {
  readonly line: InputLine;
  readonly request: Buffer | undefined;
  result: string | undefined;
  failed: string | undefined;
  /** It failed with this, and may succeed when repeated. */
  retryable: ImgoError | undefined;
}

interface Tally {
  lines: number;
  accepted: number;
  readonly failed: Map<string, number>;
}

/** Answers take as long as the store; a group is up to 2,000 pushes. */
const GROUP_TIMEOUT_MS = 60_000;

/** Pushes all lines. @throws ImgoError what ended it early */
export async function pushLines(
  api: Api,
  input: AsyncIterable<Buffer>,
  options: LinesOptions,
  output: Output,
): Promise<void> {
  const tally: Tally = { lines: 0, accepted: 0, failed: new Map() };
  const begun = performance.now();
  const progress =
    output.isWatched && !output.quiet ? setInterval(() => output.note(summary(tally, begun)), 1_000) : undefined;
  try {
    for await (const group of lineGroups(input)) {
      if (options.signal.aborted) break;
      const items = group.map((line) => prepare(line, options));
      let cause: unknown;
      try {
        await pushGroup(api, items, options, output);
      } catch (error) {
        cause = error;
      }
      await print(items, tally, output);
      if (cause !== undefined) throw cause;
    }
  } catch (error) {
    // Input that was ended by Ctrl-C breaks off with an error of its own.
    if (!options.signal.aborted) throw error;
  } finally {
    clearInterval(progress);
    if (!output.quiet) output.note(summary(tally, begun));
  }
  if (options.signal.aborted) throw new ImgoError('interrupted');
  const failed = tally.lines - tally.accepted;
  if (failed > 0) tellPartly(failed, tally.lines);
}

/** Checks a line and gives it its key. The message's bytes stay as they came. */
function prepare(line: InputLine, { key, ttl }: LinesOptions): Item {
  const refuse = (error: ImgoError): Item => {
    return { line, request: undefined, retryable: undefined, ...refused(error, line) };
  };
  if (line.tooLong) return refuse(new ImgoError('request_too_large', { limit: MAX_LINE_BYTES }));
  let value: unknown;
  try {
    value = JSON.parse(line.bytes.toString('utf8'));
  } catch {
    return refuse(new ImgoError('invalid_json'));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(new ImgoError('invalid_request', { detail: 'a line is {"to":…,"message":…}' }));
  }
  const extra: string[] = [];
  if (key !== undefined && !('idempotencyKey' in value))
    extra.push(`"idempotencyKey":${JSON.stringify(`${key}/${line.number}`)}`);
  if (ttl !== undefined && !('ttl' in value)) extra.push(`"ttl":${JSON.stringify(ttl)}`);
  const open = line.bytes.indexOf(0x7b) + 1;
  const isEmpty = Object.keys(value).length === 0;
  const head = extra.length === 0 ? '' : `${extra.join(',')}${isEmpty ? '' : ','}`;
  const request = Buffer.concat([line.bytes.subarray(0, open), Buffer.from(head), line.bytes.subarray(open), NEWLINE]);
  return { line, request, result: undefined, failed: undefined, retryable: undefined };
}

const NEWLINE = Buffer.from('\n');

function refused(error: ImgoError, line: InputLine): Pick<Item, 'result' | 'failed'> {
  return { result: JSON.stringify({ ...errorObject(error), line: line.number }), failed: error.code };
}

async function pushGroup(api: Api, items: readonly Item[], options: LinesOptions, output: Output): Promise<void> {
  const retries = new Retries(options.signal);
  for (;;) {
    const waiting = items.filter((item) => item.request !== undefined && item.result === undefined);
    if (waiting.length === 0) return;
    let failure: ImgoError | undefined;
    try {
      await sendGroup(api, waiting);
    } catch (error) {
      failure = asImgoError(error);
    }
    if (waiting.some((item) => item.result !== undefined && item.failed === undefined)) retries.reset();
    const open = waiting.filter(
      (item) => item.result === undefined || (options.key !== undefined && item.retryable !== undefined),
    );
    if (open.length === 0) return;
    if (failure !== undefined && !(failure.retryable && options.key !== undefined)) return settle(open, failure);
    const why = failure ?? open.find((item) => item.retryable)?.retryable ?? new ImgoError('outcome_unknown');
    if (options.key === undefined) return settle(open, why);
    tellRetry(retries, why, output);
    if (!(await retries.next())) return settle(open, why);
    for (const item of open) item.result = item.failed = item.retryable = undefined;
  }
}

/** Gives those without a result the error, and throws it: the run ends. */
function settle(open: readonly Item[], error: ImgoError): never {
  for (const item of open) if (item.result === undefined) Object.assign(item, refused(error, item.line));
  throw error;
}

/** Sends the lines once and takes the results that come. @throws ImgoError */
async function sendGroup(api: Api, items: readonly Item[]): Promise<void> {
  let answer: Buffer;
  let broken: ImgoError | undefined;
  try {
    const body = Buffer.concat(items.map((item) => item.request as Buffer));
    const call = { method: 'POST', path: '/v1/push/batch', body, contentType: 'application/x-ndjson' } as const;
    ({ body: answer } = await api.call({
      ...call,
      headers: { accept: 'application/x-ndjson' },
      timeoutMs: GROUP_TIMEOUT_MS,
    }));
  } catch (error) {
    broken = asImgoError(error);
    const partial = (broken.cause as { readonly partial?: Buffer } | undefined)?.partial;
    if (partial === undefined) throw broken;
    answer = partial;
  }
  let from = 0;
  for (const item of items) {
    const end = answer.indexOf(0x0a, from);
    if (end < 0) break;
    take(item, answer.toString('utf8', from, end), api);
    from = end + 1;
  }
  if (broken !== undefined) throw broken;
}

function take(item: Item, text: string, api: Api): void {
  let value: {
    readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly retryable?: unknown };
    readonly errors?: object;
    readonly ids?: object;
  };
  try {
    value = JSON.parse(text);
  } catch {
    throw new ImgoError('bad_answer', { url: api.server.url, detail: 'a result is not JSON' });
  }
  const several = value.errors === undefined ? 0 : Object.keys(value.errors).length;
  if (value.error !== undefined) {
    item.failed = String(value.error.code ?? 'internal');
    if (value.error.retryable === true)
      item.retryable = errorFromProblem({ ...value.error, title: value.error.message, status: 503 });
    item.result = JSON.stringify({ ...value, line: item.line.number });
  } else {
    item.failed = several > 0 ? 'partial' : undefined;
    item.result = text;
  }
}

async function print(items: readonly Item[], tally: Tally, output: Output): Promise<void> {
  const shown: string[] = [];
  for (const { result, failed } of items) {
    if (result === undefined) continue;
    tally.lines += 1;
    if (failed === undefined) tally.accepted += 1;
    else tally.failed.set(failed, (tally.failed.get(failed) ?? 0) + 1);
    // On a terminal only what went wrong: the rest is counted.
    if (!output.isTerminal || output.json || failed !== undefined) shown.push(result, '\n');
  }
  if (shown.length > 0) await output.raw(shown.join(''));
}

function summary({ lines, accepted, failed }: Tally, begun: number): string {
  const seconds = (performance.now() - begun) / 1_000;
  const rate = seconds > 1 ? `, ${Math.round(lines / seconds).toLocaleString('en')}/s` : '';
  const why = [...failed].map(([code, count]) => `${code} ${count}`).join(', ');
  const rest = lines > accepted ? `; ${lines - accepted} not: ${why}` : '';
  return `${lines.toLocaleString('en')} line${lines === 1 ? '' : 's'}: ${accepted.toLocaleString('en')} accepted${rest} (${seconds.toFixed(1)} s${rate}).`;
}
