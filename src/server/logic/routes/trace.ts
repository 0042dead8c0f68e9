// GET /v1/trace: the life of one message, gathered from every node that may have noted a part of it, in order of time, with a
// verdict. Also of a message that was not traced: then its log and its devices' cursors tell what they can.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import { formatId, isZeroId, type MessageId, type ParsedLog, parseId, parseLogName } from '../../../protocol/ids.js';
import { pause } from '../../clock.js';
import { type NodeTrace, STEPS } from '../../observe/steps.js';
import type { NodeRecord } from '../../router/registry.js';
import type { DeviceState } from '../../store/buckets.js';
import { deviceState, type MessageState, messageState, tokensOf } from '../message-state.js';
import { isoTime } from '../schemas.js';
import { type Evidence, verdictOf } from '../verdict.js';
import { type RouteContext, requireScope } from './route.js';

const KEY = /^t-[0-9a-f]{32}$/;

const query = z.strictObject({
  log: z.string().max(160).describe('user:U, room:R or all'),
  id: z.string().max(40).describe('epoch-n, or t-MARK of a message that is not stored'),
});
export const deviceView = z.object({
  device: z.string().describe('Empty: sessions that name none'),
  state: z.enum(['acknowledged', 'sent', 'waiting']),
  cursor: z.string(),
  lastSeen: z.iso.datetime(),
});
const answer = z.object({
  log: z.string(),
  id: z.string().nullable(),
  mark: z.string().nullable().describe('null: it was not traced'),
  message: z.object({
    state: z.enum(['kept', 'gone', 'accepted', 'ephemeral']),
    bytes: z.int().nullable(),
    acceptedAt: z.iso.datetime().nullable(),
    expiresAt: z.iso.datetime().nullable(),
  }),
  devices: z.array(deviceView),
  steps: z.array(z.looseObject({ at: z.number().describe('Wall ms of its node'), node: z.string(), step: z.string() })),
  more: z.int().describe('Steps that were not kept, because there were too many'),
  missing: z.array(z.string()).describe('Nodes that did not answer: what they noted is not here'),
  verdict: z.object({
    outcome: z.enum(['acknowledged', 'delivered', 'kept', 'accepted', 'lost']),
    reason: z.string().nullable(),
    detail: z.string(),
    reasons: z.array(z.object({ code: z.string(), session: z.string().optional(), count: z.int().optional() })),
  }),
});

export function registerTraces(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  scope.get(
    '/v1/trace',
    {
      schema: {
        summary: 'The life of one message: its steps on all nodes, and what became of it',
        tags: ['messages'],
        querystring: query,
        response: { 200: answer },
      },
    },
    async (request) => trace(context, request.query as z.output<typeof query>),
  );
}

async function trace(context: RouteContext, asked: z.output<typeof query>) {
  const { log, id, key } = nameOf(asked);
  const { traces, missing } = await gather(context, log, key);
  const steps = merge(traces);
  const accepted = steps.find(({ step }) => step === 'accepted');
  const ttlMs = accepted?.step === 'accepted' ? accepted.ttlMs : undefined;
  const expiresAt = accepted === undefined || ttlMs === undefined ? undefined : accepted.at + ttlMs;
  const state = id === undefined ? undefined : await messageState(context, log, id, expiresAt);
  if (!exists(traces, state)) throw new ImgoError('message_not_found', { id: `${log.log}@${key}` });
  const tokens = log.kind === 'user' ? await tokensOf(context.credentials, log.user, context.clock.now()) : undefined;
  const evidence: Evidence = { log, id, steps, state, tokens };
  const entry = state?.where.kind === 'kept' ? state.where.entry : undefined;
  const bytes = entry?.payload.byteLength ?? (accepted?.step === 'accepted' ? accepted.bytes : undefined);
  return {
    log: log.log,
    id: id === undefined ? null : key,
    mark: traces[0]?.mark ?? null,
    message: {
      state: stateName(state),
      bytes: bytes ?? null,
      acceptedAt: timeOrNull(entry?.acceptedAt ?? accepted?.at),
      expiresAt: id === undefined ? null : timeOrNull(entry?.expiresAt ?? expiresAt),
    },
    devices: id === undefined ? [] : (state?.devices ?? []).map((device) => showDevice(device, id)),
    steps,
    more: traces.reduce((sum, { more }) => sum + more, 0),
    missing,
    verdict: verdictOf(evidence),
  };
}

/** @throws ImgoError message_name_invalid */
export function nameOf({ log: name, id: text }: { readonly log: string; readonly id: string }): {
  readonly log: ParsedLog;
  /** undefined: ephemeral. */
  readonly id: MessageId | undefined;
  readonly key: string;
} {
  const log = parseLogName(name);
  if (log === undefined) throw new ImgoError('message_name_invalid', { detail: 'a log is user:U, room:R or all' });
  if (KEY.test(text)) return { log, id: undefined, key: text };
  const id = parseId(text);
  if (id === undefined || isZeroId(id)) throw new ImgoError('message_name_invalid', { detail: 'an id is epoch-n' });
  return { log, id, key: formatId(id) };
}

/** What a device has of a message. */
export function showDevice(device: DeviceState, id: MessageId): z.output<typeof deviceView> {
  return {
    device: device.device,
    state: deviceState(device, id),
    cursor: formatId(device.cursor),
    lastSeen: isoTime(device.lastSeen),
  };
}

function exists(traces: readonly NodeTrace[], state: MessageState | undefined): boolean {
  if (traces.length > 0) return true;
  return state !== undefined && state.where.kind !== 'never' && state.where.kind !== 'ahead';
}

function stateName(state: MessageState | undefined): z.output<typeof answer>['message']['state'] {
  if (state === undefined) return 'ephemeral';
  if (state.where.kind === 'kept') return 'kept';
  return state.where.kind === 'gone' ? 'gone' : 'accepted';
}

function timeOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : isoTime(ms);
}

/** Every live node is asked; this process answers for itself without a link. */
async function gather(
  context: RouteContext,
  { log }: ParsedLog,
  key: string,
): Promise<{ readonly traces: readonly NodeTrace[]; readonly missing: string[] }> {
  const { registry, traces: own } = context;
  const nodes = (await registry.nodes()).filter(({ state }) => state !== 'gone');
  const byNode = new Map<string, NodeTrace>();
  const missing: string[] = [];
  const mine = own?.find(log, key);
  if (mine !== undefined) byNode.set(mine.node, mine);
  const asked = nodes.filter(({ node }) => node !== own?.node);
  await Promise.all(
    asked.map(async (record) => {
      const found = await ask(context, record, log, key);
      if (found === 'missing') missing.push(record.node);
      // A worker whose parent has the same name for its store answers once.
      else if (found !== undefined) byNode.set(found.node, found);
    }),
  );
  return { traces: [...byNode.values()], missing: missing.sort() };
}

async function ask(
  { cometFor, nodeFor, clock, options }: RouteContext,
  record: NodeRecord,
  log: ParsedLog['log'],
  key: string,
): Promise<NodeTrace | undefined | 'missing'> {
  const service = record.roles.includes('comet') ? cometFor(record.node) : nodeFor?.(record);
  if (service === undefined) return 'missing';
  const aborter = new AbortController();
  const late = pause(clock, options.confirmMs, aborter.signal).then(() => 'missing' as const);
  const answer = service.trace(log, key).then(
    (found) => found ?? undefined,
    () => 'missing' as const,
  );
  const first = await Promise.race([answer, late]);
  aborter.abort();
  return first;
}

/** By time; what has the same time, in the order in which steps follow from each other. */
function merge(traces: readonly NodeTrace[]): Evidence['steps'] {
  const steps = traces.flatMap(({ node, steps }) => steps.map((step) => ({ ...step, node })));
  return steps.sort((a, b) => a.at - b.at || STEPS.indexOf(a.step) - STEPS.indexOf(b.step));
}
