// Drains that are called off and begun again while ports are being opened.

import { expect, test } from 'vitest';
import type { CometCore } from '../../../src/server/comet/core.js';
import { Drain } from '../../../src/server/comet/drain.js';
import type { DrainOrder } from '../../../src/server/rpc/services.js';
import { HandClock } from './stage.js';

const ORDER: DrainOrder = { perSecond: 1_000, reconnect: { minMs: 1, maxMs: 2 } };

function stage() {
  const clock = new HandClock();
  const connection = { closed: false, closes: 0, close: () => void connection.closes++ };
  const core = { clock, connections: new Set([connection]) } as unknown as CometCore;
  const opening: (() => void)[] = [];
  const said: (boolean | 'pause')[] = [];
  const listeners = {
    pause: () => void said.push('pause'),
    resume: () => new Promise<void>((resolve) => opening.push(resolve)),
  };
  const drain = new Drain(core, listeners, (draining) => void said.push(draining));
  return { clock, connection, drain, opening, said };
}

test('one that is begun again before it is called off is on, takes nobody, and can be called off', async () => {
  const { clock, connection, drain, opening, said } = stage();
  drain.begin(ORDER);
  const first = drain.end();
  drain.begin(ORDER);
  opening[0]?.();
  await first;
  expect(drain.active).toBe(true);
  expect(said).toEqual(['pause', true, 'pause']);
  const second = drain.end();
  opening[1]?.();
  await second;
  expect([drain.active, said.at(-1)]).toEqual([false, false]);
  const { closes } = connection;
  await clock.pass(1_000);
  expect(connection.closes).toBe(closes);
});

test('one that is called off twice at a time opens its ports once', async () => {
  const { drain, opening } = stage();
  drain.begin(ORDER);
  const both = Promise.all([drain.end(), drain.end()]);
  expect(opening).toHaveLength(1);
  opening[0]?.();
  await both;
  expect(drain.active).toBe(false);
});
