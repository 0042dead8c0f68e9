// What a logic knows of its nodes: one that hangs delays nobody twice and is shown with how old its figures are; counts of nodes
// that have gone stay counted; /v1/stats, /v1/nodes and /v1/top tell it.
import { afterEach, expect, it } from 'vitest';
import type { NodeId } from '../../../src/protocol/ids.js';
import type { CometStats } from '../../../src/server/rpc/services.js';
import { call, RecordingComet, type Setup, setUp } from './setup.js';

let setup: Setup | undefined;

afterEach(async () => {
  await setup?.[Symbol.asyncDispose]();
});

/** A comet that answers only while it may. */
class Hanging extends RecordingComet {
  hangs = false;
  asked = 0;

  override stats(): Promise<CometStats> {
    this.asked++;
    return this.hangs ? new Promise(() => undefined) : super.stats();
  }
}

async function two(): Promise<{ base: string; hanging: Hanging; setup: Setup }> {
  const hanging = new Hanging('c/2' as NodeId);
  const steady = new RecordingComet('c/1' as NodeId);
  const cometFor = (node: NodeId) => (node === hanging.node ? hanging : node === steady.node ? steady : undefined);
  const made = await setUp({ http: { cometFor }, options: { confirmMs: 100 } });
  setup = made;
  await made.registry.join({ node: hanging.node, roles: ['comet'], address: 'x:1', version: '0.0.0', since: 1 });
  return { base: made.http.addresses().http, hanging, setup: made };
}

it('a comet that hangs is shown with what it said last, is an alert, and is not asked twice at a time', async () => {
  const { base, hanging } = await two();
  const top = async () => (await call(base, 'GET', '/v1/top?node=c')).json;
  const nodeOf = async (name: string) => (await top()).nodes.items.find((one: { node: string }) => one.node === name);
  expect(await nodeOf('c/2')).toMatchObject({ state: 'ok', connections: 3 });
  hanging.hangs = true;
  expect(await nodeOf('c/2')).toMatchObject({ state: 'silent', connections: 3 });
  const asked = hanging.asked;
  expect(await nodeOf('c/1')).toMatchObject({ state: 'ok' });
  expect(hanging.asked).toBe(asked);
  const stats = async () => (await call(base, 'GET', '/v1/stats')).json;
  const unreachable = expect.objectContaining({ code: 'node_unreachable', subject: 'c/2' });
  await expect.poll(async () => (await stats()).alerts, { timeout: 20_000 }).toContainEqual(unreachable);
  const { comets } = await stats();
  expect(comets.map((one: { node: string }) => one.node)).toEqual(['c/1']);
  const { items } = (await call(base, 'GET', '/v1/nodes')).json;
  expect(items.find((one: { node: string }) => one.node === 'c/2')).toMatchObject({ comet: null });
});

it('a count of a node that has gone stays counted', async () => {
  const { base, setup: made } = await two();
  const deliveries = async () => (await call(base, 'GET', '/v1/top')).json.totals.deliveries;
  expect(await deliveries()).toBe(14);
  await made.registry.leave(made.lease);
  expect(await deliveries()).toBe(14);
});

it.each([
  ['table=planets', 'table'],
  ['nodes_by=colour', 'nodes_by'],
  ['limit=0', 'limit'],
  ['limit=1000', 'limit'],
  ['from=-1', 'from'],
  ['colour=red', 'colour'],
])('/v1/top?%s is refused', async (query, names) => {
  const { base } = await two();
  const { status, text } = await call(base, 'GET', `/v1/top?${query}`);
  expect(status).toBe(400);
  expect(text).toContain(names);
});
