// POST and DELETE /v1/nodes/:id/drain: a comet is emptied, paced, and takes nobody meanwhile; called off, it takes connections
// again. How far it is stands in /v1/nodes.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ImgoError } from '../../../protocol/errors.js';
import type { NodeId } from '../../../protocol/ids.js';
import { type CometService, NUMBERS_ONLY } from '../../rpc/services.js';
import { parseRate } from '../../units.js';
import { type RouteContext, requireScope, takeJson } from './route.js';

const MOST_PER_SECOND = 1_000_000;

const order = z
  .strictObject({
    rate: z
      .union([z.number().positive().max(MOST_PER_SECOND), z.string()])
      .optional()
      .describe('Clients a second: 1000, or "1000/s"; drain.rate unless given'),
  })
  .optional();
const draining = z.object({ node: z.string(), draining: z.boolean(), connections: z.int() });
const params = z.object({ id: z.string() });

export function registerDrain(scope: FastifyInstance, context: RouteContext): void {
  requireScope(scope, context.access, 'admin');
  takeJson(scope);
  const tags = ['cluster'];
  const response = { 200: draining };

  scope.post(
    '/v1/nodes/:id/drain',
    { schema: { summary: 'Have the clients of a node move to others', tags, params, body: order, response } },
    async (request) => {
      const { id } = request.params as z.output<typeof params>;
      const { rate } = (request.body as z.output<typeof order>) ?? {};
      const perSecond = rate === undefined ? context.drain.perSecond : rateOf(rate);
      const comet = await cometOf(context, id);
      await comet.drain({ ...context.drain, perSecond });
      return state(id, comet);
    },
  );

  scope.delete(
    '/v1/nodes/:id/drain',
    { schema: { summary: 'Call that off: it takes connections again', tags, params, response } },
    async (request) => {
      const { id } = request.params as z.output<typeof params>;
      const comet = await cometOf(context, id);
      await comet.drain(undefined);
      return state(id, comet);
    },
  );
}

async function state(node: string, comet: CometService): Promise<z.output<typeof draining>> {
  const { connections, draining } = await comet.stats(NUMBERS_ONLY);
  return { node, draining, connections };
}

async function cometOf({ registry, cometFor }: RouteContext, id: string): Promise<CometService> {
  const known = (await registry.comets()).some(({ node }) => node === id);
  if (!known) throw new ImgoError('node_not_found', { node: id });
  const comet = cometFor(id as NodeId);
  if (comet === undefined) throw new ImgoError('node_unreachable', { node: id });
  return comet;
}

function rateOf(rate: number | string): number {
  const perSecond = typeof rate === 'number' ? rate : (parseRate(rate) ?? Number(rate));
  if (perSecond > 0 && perSecond <= MOST_PER_SECOND) return perSecond;
  throw new ImgoError('invalid_request', { detail: `rate must be above 0 and at most ${MOST_PER_SECOND} a second` });
}
