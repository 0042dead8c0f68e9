// Roles on machines whose clocks are wrong by an hour, on real Kafka and Redis: nothing expires early or lives longer, what is
// for now arrives now, tokens hold.
import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/server/clock.js';
import { until } from '../harness/api.js';
import { Stage } from '../unit/apart/stage.js';
import { brokerSettings, sharedKafka, sharedRedis } from './shared.js';

const HOUR_MS = 3_600_000;
const OFF: Readonly<Record<string, number>> = { ahead: HOUR_MS, behind: -HOUR_MS, job: HOUR_MS, comet: -HOUR_MS };

function clockOf(name: string): Clock {
  return { ...systemClock, now: () => systemClock.now() + (OFF[name] ?? 0) };
}

test('clocks that are an hour wrong, either way, change nothing', async () => {
  await using stage = new Stage({
    clockOf,
    brokers: brokerSettings(await sharedRedis(), await sharedKafka()),
  });
  await stage.start('ahead', 'logic');
  await stage.start('behind', 'logic');
  await stage.start('job', 'job', { 'listen.http': 'off' });
  await stage.start('comet', 'comet');
  for (const logic of ['ahead', 'behind']) {
    const api = stage.api(logic);
    const { got } = await stage.listen(api, logic, 'comet');
    await api.push({ user: logic }, 'kept', { ttl: '1m' });
    await api.push({ user: logic }, 'for now', { ttl: 0 });
    await until(`both of ${logic}`, () => got.length === 2);
    expect([...got].sort()).toEqual(['"for now"', '"kept"']);
    // Whoever comes later finds what has not expired.
    await api.push({ user: `${logic}-later` }, 'waiting', { ttl: '1m' });
    const later = await stage.listen(stage.api('ahead'), `${logic}-later`, 'comet');
    await until(`what waited for ${logic}`, () => later.got.length === 1);
  }
  expect(stage.logged).toContain('the clock of this machine is wrong');
});
