// The stream of events over roles apart, on real TCP between them.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { NATIVE_VER } from '../../../src/protocol/native.js';
import { encodeNativeAuth } from '../../../src/protocol/native-json.js';
import { type TestApi, until } from '../../harness/api.js';
import { EventReader, type Refused } from '../../harness/events.js';
import { RawTcp } from '../comet/live.js';
import { Stage } from './stage.js';

let stage: Stage;
let api: TestApi;
let base: string;
const readers: EventReader[] = [];
const raws: RawTcp[] = [];

beforeEach(async () => {
  stage = new Stage();
  const logic = await stage.start('l1', 'logic');
  await stage.start('j1', 'job');
  await stage.start('c1', 'comet');
  await stage.start('c2', 'comet');
  api = stage.api('l1');
  base = logic.addresses.http ?? '';
});

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  for (const raw of raws.splice(0)) raw.destroy();
  await stage[Symbol.asyncDispose]();
});

async function open(query = ''): Promise<EventReader> {
  const reader = await EventReader.begin(base, query);
  readers.push(reader);
  return reader;
}

/** As many sessions as asked for, each of a user of its own. */
async function crowd(count: number, comet: string): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    const opening = Array.from({ length: Math.min(100, count - from) }, async (_, at) => {
      const raw = await RawTcp.open(stage.servers.get(comet)?.addresses.tcp ?? '');
      raws.push(raw);
      const token = await api.token(`crowd-${from + at}`);
      raw.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth({ token })));
      await raw.next(Op.AUTH_REPLY);
    });
    await Promise.all(opening);
  }
}

test('one stream shows a message at the logic, the job and the comets', async () => {
  await stage.listen(api, '7', 'c1');
  await stage.listen(api, '8', 'c2');
  const reader = await open();
  expect(reader.events[0]).toMatchObject({ event: 'watching', sessions: 2, nodes: 4 });
  const id = await api.push({ user: '7' }, 'mine');
  const push = await reader.next('the frame', ({ name }) => name === 'push');
  expect(push).toMatchObject({ node: 'c1', user: '7', log: 'user:7', id, direction: 'out' });
  expect(await reader.next('the ack', ({ name }) => name === 'ack')).toMatchObject({ node: 'c1', id, direction: 'in' });
  expect(await reader.kind('accepted')).toMatchObject({ node: 'l1', log: 'user:7', id });
  expect(await reader.kind('applied')).toMatchObject({ node: 'j1', log: 'user:7', id });
  expect(await reader.kind('notified')).toMatchObject({ node: 'j1', log: 'user:7', id, comet: 'c1' });
  await api.push({ all: true }, 'all');
  await until(
    'both sweeps',
    () => reader.events.filter(({ event, log }) => event === 'flush' && log === 'all').length === 2,
  );
});

test('a named node is the only one that is watched', async () => {
  await stage.listen(api, '7', 'c1');
  await stage.listen(api, '8', 'c2');
  const reader = await open('?node=c2');
  expect(reader.events[0]).toMatchObject({ sessions: 1, nodes: 1 });
  await api.push({ user: '7' }, 'x');
  await api.push({ user: '8' }, 'y');
  await reader.next('the push', ({ name }) => name === 'push');
  expect(new Set(reader.events.flatMap(({ node }) => node ?? []))).toEqual(new Set(['c2']));
});

test('a comet that goes is missed, one that comes is back, and the stream goes on', async () => {
  await stage.listen(api, '7', 'c1');
  const reader = await open();
  await stage.stop('c2');
  expect(await reader.kind('missed')).toMatchObject({ node: 'c2' });
  await api.push({ user: '7' }, 'x');
  await reader.next('the push', ({ name }) => name === 'push');
  await stage.start('c2', 'comet');
  expect(await reader.kind('back')).toMatchObject({ node: 'c2' });
  await stage.listen(api, '8', 'c2');
  await reader.next('its session', ({ event, node }) => event === 'open' && node === 'c2');
});

test('since shows what the flight recorders of all comets have', async () => {
  const first = await stage.listen(api, '7', 'c1');
  await stage.listen(api, '8', 'c2');
  await first.client.close();
  const reader = await open('?since=5m&event=open,close');
  await reader.next('the close', ({ event }) => event === 'close');
  await until('all', () => reader.count('open') === 2);
  expect(
    reader.events
      .filter(({ event }) => event === 'open')
      .map(({ node, user }) => [node, user])
      .sort(),
  ).toEqual([
    ['c1', '7'],
    ['c2', '8'],
  ]);
  const one = await open('?since=5m&user=8&limit=1');
  await until('the end', () => one.ended);
  expect(one.events[1]).toMatchObject({ event: 'open', user: '8' });
});

test('frames of more than 1,000 sessions are refused with their count; a sample, other kinds or a user are not', async () => {
  await crowd(550, 'c1');
  await crowd(500, 'c2');
  const refused = (await EventReader.open(base)) as Refused;
  expect(refused).toMatchObject({ status: 422, problem: { code: 'watch_too_wide' } });
  expect(JSON.stringify(refused.problem)).toContain('1050');
  const sample = await open('?sample=10%25');
  const sampled = Number(sample.events[0]?.['sessions']);
  expect(sampled).toBeGreaterThan(50);
  expect(sampled).toBeLessThan(160);
  expect((await open('?event=open,close,flush')).events[0]).toMatchObject({ sessions: 1_050 });
  expect((await open('?user=crowd-7')).events[0]).toMatchObject({ sessions: 2 });
  await api.push({ all: true }, 'x');
  await until('each of the sample', () => sample.events.filter(({ name }) => name === 'push').length === sampled);
});
