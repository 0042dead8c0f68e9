// Roles apart, over real TCP: what is pushed at one process reaches clients of another, whichever of them come and go.

import { expect, test } from 'vitest';
import { until } from '../../harness/api.js';
import { Stage } from './stage.js';

test('a push that a logic accepts reaches a client of a comet in another process', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic,job');
  await stage.start('c1', 'comet');
  const api = stage.api('l1');
  const { got } = await stage.listen(api, '7', 'c1');
  await api.push({ user: '7' }, 'mine');
  await api.push({ all: true }, 'all');
  await until('both', () => got.length === 2);
  expect(got.sort()).toEqual(['"all"', '"mine"']);
  const nodes = await stage.engines.registry.nodes();
  expect(nodes.map(({ node, roles, state }) => [node, roles, state])).toEqual([
    ['l1', ['logic', 'job'], 'ok'],
    ['c1', ['comet'], 'ok'],
  ]);
});
