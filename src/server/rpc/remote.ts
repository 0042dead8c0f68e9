/**
 * Services over a link: a twin has the methods of a service and asks the other side for each; the other side serves a
 * service by the names of the methods that it offers, and nothing else.
 */
import { ImgoError } from '../../protocol/errors.js';
import type { LinkHandler } from './link.js';

/** Asks the other side of a link. */
export type Caller = (method: string, args: readonly unknown[]) => Promise<unknown>;

/** The service `name` of the other side. */
export function twin<S, M extends keyof S & string>(name: string, methods: readonly M[], call: Caller): Pick<S, M> {
  const made: Record<string, unknown> = {};
  for (const method of methods) made[method] = (...args: readonly unknown[]) => call(`${name}.${method}`, args);
  return made as Pick<S, M>;
}

/** A service that is offered under a name. */
export interface Offer {
  readonly name: string;
  readonly methods: readonly string[];
  readonly service: object;
}

/** Answers calls to what is offered; everything else is refused. */
export function serve(offers: readonly Offer[]): LinkHandler {
  const known = new Map<string, (args: readonly unknown[]) => Promise<unknown>>();
  for (const { name, methods, service } of offers) {
    for (const method of methods) {
      const run = (service as Record<string, (...args: readonly unknown[]) => Promise<unknown>>)[method];
      if (run === undefined) throw new Error(`${name} has no ${method}`);
      known.set(`${name}.${method}`, (args) => run.apply(service, args as unknown[]));
    }
  }
  return async (method, args) => {
    const run = known.get(method);
    if (run === undefined) throw new ImgoError('internal', { detail: `${method} is not offered here` });
    return run(args);
  };
}
