// A turn that read something ends no sooner than it may; one that read nothing ends at once.
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import { Turns } from '../../../src/server/workers/turns.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('turns of a process that is one of many on a core', () => {
  it('end no closer together than they are told when they read something', async () => {
    const turns = new Turns(systemClock, 30);
    const before = performance.now();
    for (let count = 0; count < 4; count++) {
      turns.took();
      turns.took();
      await turn();
    }
    // The first one has none before it.
    expect(performance.now() - before).toBeGreaterThan(3 * 30 - 1);
  });

  it('are ended once however much they read, and not at all when they read nothing', () => {
    const asked: (() => void)[] = [];
    const clock: Clock = { ...systemClock, soon: (run) => void asked.push(run) };
    const turns = new Turns(clock, 1);
    expect(asked).toHaveLength(0);
    turns.took();
    turns.took();
    expect(asked).toHaveLength(1);
    asked[0]?.();
    expect(asked).toHaveLength(1);
    turns.took();
    expect(asked).toHaveLength(2);
  });
});
