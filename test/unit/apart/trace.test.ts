// The trace of a message over roles apart: each node has noted its part, and one that does not answer is said.
import { expect, test } from 'vitest';
import { until } from '../../harness/api.js';
import { call } from '../../harness/pusher.js';
import { Stage } from './stage.js';

interface Trace {
  readonly steps: readonly { readonly node: string; readonly step: string; readonly comet?: string }[];
  readonly missing: readonly string[];
  readonly verdict: { readonly outcome: string; readonly reason: string | null };
}

async function push(url: string, to: object): Promise<{ readonly log: string; readonly id: string }> {
  const answer = await call(`${url}/v1/push`, 'POST', JSON.stringify({ to, message: 1, trace: true }));
  return JSON.parse(answer.body) as { log: string; id: string };
}

async function trace(url: string, { log, id }: { readonly log: string; readonly id: string }): Promise<Trace> {
  const answer = await call(`${url}/v1/trace?${new URLSearchParams({ log, id })}`, 'GET', undefined);
  return JSON.parse(answer.body) as Trace;
}

const where = ({ steps }: Trace, step: string) => steps.filter((one) => one.step === step).map(({ node }) => node);

test('any logic gathers what the accepting logic, the job and the comets have noted', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic');
  await stage.start('l2', 'logic');
  await stage.start('j1', 'job');
  await stage.start('c1', 'comet');
  await stage.start('c2', 'comet');
  const [one = '', two = ''] = ['l1', 'l2'].map((name) => stage.servers.get(name)?.addresses.http);
  const phone = await stage.listen(stage.api('l1'), '7', 'c1', 'phone');
  const web = await stage.listen(stage.api('l1'), '7', 'c2', 'web');
  const pushed = await push(one, { user: '7' });
  await until('both', () => phone.got.length === 1 && web.got.length === 1);
  let found = await trace(two, pushed);
  await until('both acknowledged', async () => {
    found = await trace(two, pushed);
    return where(found, 'acknowledged').length === 2;
  });
  expect(where(found, 'accepted')).toEqual(['l1']);
  for (const step of ['taken', 'applied', 'looked_up']) expect(where(found, step)).toEqual(['j1']);
  expect(where(found, 'notified')).toEqual(['j1', 'j1']);
  for (const step of ['arrived', 'written', 'drained', 'acknowledged']) {
    expect([...where(found, step)].sort(), step).toEqual(['c1', 'c2']);
  }
  expect(found).toMatchObject({ missing: [], verdict: { outcome: 'acknowledged' } });
  // The mark of a message for all is known wherever somebody reads it.
  const all = await push(two, { all: true });
  await until('all were given it', async () => where(await trace(one, all), 'swept').length === 2);
});

test('a node that does not answer is named, and the others tell their part', async () => {
  await using stage = new Stage({ leaseMs: 60_000 });
  await stage.start('l1', 'logic,job');
  const { registry } = stage.engines;
  const url = stage.servers.get('l1')?.addresses.http ?? '';
  const address = '127.0.0.1:1';
  await registry.join({ node: 'lost' as never, roles: ['comet'], address, version: 'test', since: 0 });
  const pushed = await push(url, { user: '7' });
  await until('the node is known', async () => (await trace(url, pushed)).missing.includes('lost'));
  expect(await trace(url, pushed)).toMatchObject({ verdict: { outcome: 'kept', reason: 'no_session' } });
});
