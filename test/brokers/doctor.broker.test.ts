// `imgo doctor` asks the brokers that the configuration names: a real Redis and a real Kafka.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { LAUNCHER } from '../harness/server.js';
import { sharedKafka, sharedRedis, uniquePrefix } from './shared.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('says that they answer, what they are, and how far their clock is from ours', async () => {
  const topic = uniquePrefix();
  const args = ['--redis', await sharedRedis(), '--kafka', (await sharedKafka()).join(','), '--role', 'job'];
  const set = [`queue.kafka.topic=${topic}`, 'cluster.key_file=none', 'cluster.rpc=0'].flatMap((one) => ['--set', one]);
  const { stdout } = spawnSync(LAUNCHER, ['doctor', '--json', '--http', '0', ...args, ...set], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: folder, XDG_STATE_HOME: folder },
  });
  const { checks } = JSON.parse(stdout) as { checks: { name: string; found: string; needed?: string }[] };
  const of = (name: string) => checks.find((one) => one.name === name);
  expect(of('redis')?.found).toMatch(/answers, version \d+\.\d+/);
  expect(of('clock')?.found).toMatch(/^\d+\.\d\d s (behind|ahead of) that of Redis at /);
  expect(of('kafka')).toMatchObject({
    state: 'warning',
    found: expect.stringMatching(/answers, brokers: 1,/),
    needed: `there is no topic ${topic}; the first start makes it`,
  });
}, 60_000);
