/** Results that are read from files: checked as a whole, because they come from anywhere. */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { ImgoError } from '../protocol/errors.js';
import type { BenchResult } from './figures.js';
import { whyNot } from './writable.js';

/** A result of ten minutes with a hundred processes has a few MiB. */
const MAX_BYTES = 256 * 1024 * 1024;

const number = z.number();
const counts = z.record(z.string(), number);
const percentiles = z.object({ p50: number, p90: number, p99: number, p999: number, max: number });
const usage = z.object({ processes: number, cpuSeconds: number, rssBytes: number, loop: number, loopP99Ms: number });
const phases = [
  'plan',
  'preflight',
  'calibrate',
  'connect',
  'warmup',
  'measure',
  'settle',
  'audit',
  'verdict',
] as const;

const plan = z.looseObject({
  mode: z.enum(['room', 'user', 'all', 'idle', 'connect', 'http', 'mix']),
  connections: number,
  rate: number,
  durationMs: number,
  rooms: number,
  sizeBytes: number,
  transport: z.enum(['tcp', 'ws']),
  dialect: z.enum(['native', 'imgo', 'goim']),
  store: z.enum(['memory', 'lmdb']),
  windowMs: number.optional(),
  seed: number,
  connectRate: z.union([number, z.literal('auto')]),
  slow: number,
  churn: number,
  workers: number,
  perProcess: number,
  server: z.string().optional(),
  settings: z.array(z.string()),
  receivers: z.array(number),
  sources: z.array(z.string()),
});

const sample = z.looseObject({
  seconds: number,
  phase: z.enum(phases),
  phaseSeconds: number,
  open: number,
  failed: counts,
  away: number.default(0),
  broke: number.default(0),
  offered: number,
  accepted: number,
  refused: number,
  unknown: number,
  delivered: number,
  bytes: number,
  latencyMs: percentiles.nullable(),
  server: usage,
  client: usage,
  coordinator: usage,
  fanOut: z.object({
    flushes: number,
    deliveries: number,
    windowMs: number,
    sweepMs: number,
    ringBytes: number,
    lagging: number,
    gaps: number,
    reasons: counts,
  }),
  machine: z.looseObject({
    idle: number,
    steal: number,
    availableBytes: number,
    swappedBytes: number,
    tcpMemBytes: number,
    listenDrops: number,
    retransmits: number,
  }),
});

/** What is read of a result (limits that a machine does not have are null in JSON); what is in it besides is kept. */
const result = z.looseObject({
  format: z.literal(1),
  command: z.string(),
  at: z.string(),
  plan,
  cutShort: z.string().nullable(),
  connections: z.object({
    target: number,
    open: number,
    failed: counts,
    seconds: number,
    perSecond: number,
    perCpuSecond: number,
    connectMs: percentiles,
  }),
  offered: number,
  accepted: number,
  refused: number,
  unknown: number,
  delivered: number,
  expected: number,
  completeness: number,
  lost: number,
  duplicates: number,
  outOfOrder: number,
  gaps: number,
  redelivered: number,
  warmup: z.object({ offered: number, accepted: number, delivered: number }),
  excused: z.object({ churned: number, slow: number, missed: number, repeated: number }),
  breaks: z
    .looseObject({
      connections: number,
      causes: counts,
      returned: number,
      away: number,
      retries: counts,
      awayMs: percentiles,
      resumed: number,
      gapped: number,
      missed: number,
      lost: number,
    })
    .nullable()
    .default(null),
  audit: z.object({ byBoundaries: number, byNumber: number, byPayload: number, foreign: number }),
  notes: z.array(z.string()),
  latencyMs: percentiles,
  latencies: z.array(z.tuple([number, number])),
  deliveredPerSecond: number,
  seconds: z.object({ connect: number, measure: number, settle: number, all: number }),
  server: z.looseObject({
    cpuSeconds: number,
    rssBytes: number,
    bytesPerConnection: number.nullable(),
    deliveriesPerCpuSecond: number.nullable().transform((value) => value ?? 0),
    flushesPerCpuSecond: number.nullable().transform((value) => value ?? 0),
    flushes: number,
    loopP99Ms: number,
    cpuByRole: counts.default({}),
  }),
  client: z.looseObject({
    cpuSeconds: number,
    rssBytes: number,
    loopP99Ms: number,
    sentLate: number,
    saturated: z.object({ is: z.boolean(), reasons: z.array(z.string()) }),
  }),
  calibration: z.looseObject({ framesPerCpuSecond: number, pacedWithinMs: number }).nullable(),
  reference: z
    .looseObject({
      connections: number,
      seconds: number,
      flushes: number,
      flushBytes: number,
      flushesPerCpuSecond: number,
      deliveriesPerCpuSecond: number,
      connectsPerCpuSecond: number,
      // Results of before have none.
      latencyMs: percentiles.nullable().default(null),
      settleSeconds: number.nullable().default(null),
      ratios: z.object({
        flushes: number.nullable(),
        deliveries: number.nullable(),
        connects: number.nullable(),
        p50: number.nullable().default(null),
        p99: number.nullable().default(null),
        settle: number.nullable().default(null),
      }),
    })
    .nullable(),
  http: z
    .looseObject({
      requestsPerSecond: number,
      latencyMs: percentiles,
      non2xx: number,
      errors: number,
      bytesPerSecond: number,
      requestsPerCpuSecond: number,
    })
    .nullable(),
  assertions: z.array(
    z.object({
      text: z.string(),
      metric: z.string(),
      holds: z.boolean(),
      value: number.nullable(),
      shown: z.string(),
      byDefault: z.boolean(),
    }),
  ),
  samples: z.array(sample),
  processes: z.array(
    z.object({
      side: z.enum(['server', 'client']),
      name: z.string(),
      connections: number,
      cpu: z.array(number),
      loop: z.array(number),
    }),
  ),
  versions: z.object({ imgo: z.string(), node: z.string() }),
  machine: z
    .looseObject({ cores: number, model: z.string(), kernel: z.string(), memoryBytes: number, availableBytes: number })
    .transform((machine) =>
      Object.fromEntries(Object.entries(machine).map(([name, value]) => [name, value ?? Infinity])),
    ),
});

/** What `--out` has written. @throws ImgoError bench_no_result, with why */
export async function readResult(file: string): Promise<BenchResult> {
  const wrong = (detail: string) => new ImgoError('bench_no_result', { file, detail });
  let text: string;
  try {
    if ((await stat(file)).size > MAX_BYTES) throw wrong(`it is larger than ${MAX_BYTES / 2 ** 20} MiB`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw error instanceof ImgoError ? error : wrong(whyNot(error, 'there is no such file'));
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong('it is not JSON');
  }
  const { format } = (value ?? {}) as { readonly format?: unknown };
  if (typeof format === 'number' && format !== 1) throw wrong(`its format is ${format}, this version reads 1`);
  const read = result.safeParse(value);
  if (read.success) return read.data as unknown as BenchResult;
  const [issue] = read.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? 'it' : `.${issue.path.join('.')}`;
  throw wrong(`${where}: ${issue?.message ?? 'not as expected'}`);
}
