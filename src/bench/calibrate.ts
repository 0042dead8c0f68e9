// What the clients of a run can do by themselves, before anything is measured with them: how fast they count, how exactly
// messages are offered when nothing else is to do.

import { Op } from '../protocol/frame.js';
import { messagesPerFlush } from './expectation.js';
import type { Calibration } from './figures.js';
import { now } from './now.js';
import { Offer } from './offer.js';
import type { BenchPlan } from './plan.js';
import type { PushApi } from './push.js';
import { FrameWalker } from './wire/frames.js';
import { MessageWalker } from './wire/messages.js';
import { pushBytes } from './wire/served.js';
import type { WalkEvents, Walker } from './wire/walker.js';
import { UPGRADE_ANSWER } from './wire/wire.js';

const READ_BYTES = 256 * 1024;
/** Connections that are read in turn: their counts do not all fit in the nearest cache, as those of a run do not. */
const CONNECTIONS = 16_384;
/** The compiler has done its work by then. */
const WARM_MS = 80;
const COUNT_MS = 300;
const PACE_MS = 800;
/** So that slow rates have a p99, too. */
const MOST_EVERY_MS = 5;
const UPGRADED = Buffer.from(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${UPGRADE_ANSWER}\r\n\r\n`);

/** Takes about 1.2 s. */
export async function calibrate(plan: BenchPlan): Promise<Calibration> {
  const pacedWithinMs = await pace(plan);
  return { framesPerCpuSecond: countFrames(plan), pacedWithinMs };
}

/** Reads as they will come: as many messages in each as a sweep is expected to bring. */
function countFrames(plan: BenchPlan): number {
  const { buffer, walker } = walkerFor(plan);
  const push = pushBytes(plan, 1);
  const fits = Math.floor(buffer.length / push.length);
  const each = Math.max(1, Math.min(fits, Math.round(messagesPerFlush(plan.expectation))));
  for (let at = 0; at < each; at++) buffer.set(push, at * push.length);
  const length = each * push.length;
  const walkFor = (ms: number) => {
    const until = now() + ms;
    const before = process.cpuUsage();
    const from = walker.pushes;
    for (let at = 0; now() < until; ) {
      for (let turn = 0; turn < 256; turn++, at++) walker.walk(at % CONNECTIONS, length);
    }
    const { user, system } = process.cpuUsage(before);
    return ((walker.pushes - from) * 1e6) / Math.max(1, user + system);
  };
  walkFor(WARM_MS);
  return walkFor(COUNT_MS);
}

function walkerFor({ dialect, transport }: BenchPlan): { readonly buffer: Buffer; readonly walker: Walker } {
  const buffer = Buffer.alloc(READ_BYTES);
  const deaf: WalkEvents = { pushes: () => undefined, control: () => undefined, socket: () => undefined };
  const kind = { pushOp: Op.PUSH, native: dialect === 'native' };
  if (transport === 'tcp') return { buffer, walker: new FrameWalker(CONNECTIONS, buffer, true, deaf, kind) };
  const walker = new MessageWalker(CONNECTIONS, buffer, true, deaf, kind, UPGRADE_ANSWER);
  buffer.set(UPGRADED);
  for (let connection = 0; connection < CONNECTIONS; connection++) walker.walk(connection, UPGRADED.length);
  return { buffer, walker };
}

/** How late messages are sent that go nowhere, p99 in ms. */
async function pace(plan: BenchPlan): Promise<number> {
  const everyMs = Math.min(MOST_EVERY_MS, 1_000 / Math.max(1, plan.rate));
  const startedAt = now() + 10;
  const late: number[] = [];
  const nowhere: PushApi = {
    tellsPlace: false,
    request: () => ({ path: '', body: '' }),
    push: () => {
      late.push(now() - (startedAt + late.length * everyMs));
      return Promise.resolve({ kind: 'accepted', id: undefined });
    },
  };
  const offer = new Offer(nowhere, plan, plan.sizeBytes, now);
  const all = Math.round(PACE_MS / everyMs);
  await offer.run({ startedAt, everyMs, all, firstMeasured: 1 }, new AbortController().signal);
  await offer.answered();
  return late.sort((a, b) => a - b)[Math.floor(late.length * 0.99)] ?? 0;
}
