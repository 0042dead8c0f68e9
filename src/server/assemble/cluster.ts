// This node among others: its key, where it is reached, links to the others, its lease. Apart from the rest, so that one
// process alone loads none of it.

import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { ImgoError } from '../../protocol/errors.js';
import type { NodeId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import { LeaseKeeper, RENEWAL } from '../comet/lease.js';
import type { ClusterConfig, Config } from '../config.js';
import { Failures } from '../failures.js';
import type { NodeRecord, Registry } from '../router/registry.js';
import type { Peer } from '../rpc/admission.js';
import type { LeaseService } from '../rpc/calls.js';
import type { Channel } from '../rpc/channel.js';
import { dialsAs, splitAddress } from '../rpc/dial.js';
import { type CallerKeys, ClusterKey } from '../rpc/keys.js';
import type { LinkHandler } from '../rpc/link.js';
import { RpcListener } from '../rpc/listener.js';
import { Logics } from '../rpc/logics.js';
import { NodeLinks } from '../rpc/nodes.js';
import { RENEW_MS } from './comets.js';
import type { Undo } from './undo.js';

/** A side that says nothing for so long is given up: well within a lease. */
const SILENCE_MS = 4_000;

export interface ClusterParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Logger;
  readonly node: NodeId;
  readonly version: string;
  /** Where logics and jobs work. */
  readonly registry: Registry | undefined;
  /** What a logic says of the time. */
  readonly onTime: (said: number, askedAt: number) => void;
  /** What a peer may ask of this node. */
  readonly handlerFor: (peer: Peer) => LinkHandler | undefined;
}

/** This node's side of the cluster. */
export interface Cluster {
  readonly key: ClusterKey;
  /** Where others reach this node. */
  readonly address: string;
  /** Links to other nodes; where a registry is. */
  readonly nodes: NodeLinks | undefined;
  /** Of a comet without a logic in its process. */
  readonly logics: Logics | undefined;
  /** The registry, or what a logic offers of it: joining also settles who may dial this node. */
  readonly lease: LeaseService;
  /** For processes without a comet, which holds its own: joins and renews. Resolves when it has joined. */
  hold(taken: (holder: NodeRecord) => void): Promise<Undo>;
}

/** Listens for other nodes. @throws ImgoError cluster_key_invalid, file_unreadable, port_in_use, listen_refused */
export async function enterCluster(parts: ClusterParts, opened: (close: Undo) => void): Promise<Cluster> {
  const { config, clock, log, node, version, registry } = parts;
  const { roles, cluster } = config;
  const key = readClusterKey(config);
  const channel = channelOf(cluster);
  const self: Peer = { role: dialsAs(roles), node };
  const first = Promise.withResolvers<CallerKeys>();
  const listener = new RpcListener(
    { clock, self, channel, handlerFor: parts.handlerFor, log, silenceMs: SILENCE_MS },
    first.promise,
  );
  const { host = '127.0.0.1', port = 0 } = cluster.rpc ?? {};
  await listener.listen(host, port);
  opened(() => listener.close());
  const address = cluster.advertise ?? reachable(listener.address);
  const accept = (keys: CallerKeys) => {
    first.resolve(keys);
    listener.accept(keys);
  };
  const common = { clock, self, channel, silenceMs: SILENCE_MS, log };
  const nodes = registry === undefined ? undefined : new NodeLinks({ ...common, key, registry });
  if (nodes !== undefined) opened(() => nodes.stop());
  const apart = roles.includes('comet') && !roles.includes('logic');
  const logics = apart
    ? new Logics({
        ...common,
        key: key.dialling('comet', undefined),
        seeds: cluster.logic,
        onCallers: accept,
        onTime: parts.onTime,
      })
    : undefined;
  if (logics !== undefined) opened(() => logics.stop());
  const lease = registry === undefined ? logics?.lease : joining(registry, key, accept);
  if (lease === undefined) throw new ImgoError('internal', { detail: 'a node that nobody knows' });
  return {
    key,
    address,
    nodes,
    logics,
    lease,
    async hold(taken) {
      const failures = new Failures(clock, log, RENEWAL);
      const keeper = new LeaseKeeper(lease, clock, { node, version, address, roles }, RENEW_MS, {
        held: () => failures.over(),
        rejoined: async () => log.warn({ node }, 'this node had lost its place in the registry, and has joined again'),
        resync: async () => undefined,
        taken,
        failed: (error) => failures.report(error),
      });
      await keeper.join();
      keeper.start();
      return () => keeper.leave();
    },
  };
}

function joining(registry: Registry, key: ClusterKey, accept: (keys: CallerKeys) => void): LeaseService {
  return {
    async join(record) {
      const lease = await registry.join(record);
      accept(key.callersOf({ ...record, incarnation: lease.incarnation }));
      return lease;
    },
    renew: (lease, state) => registry.renew(lease, state),
    leave: (lease) => registry.leave(lease),
    resynced: (lease, resync) => registry.resynced(lease, resync),
    nodes: () => registry.nodes(),
  };
}

function readClusterKey({ roles, cluster }: Config): ClusterKey {
  const key = ClusterKey.parse(read(cluster.keyFile ?? '').toString('utf8'));
  if (key.suffices(roles)) return key;
  const detail = `it is of the role ${key.kind}, and this process is ${roles.join(', ')}`;
  throw new ImgoError('cluster_key_invalid', { detail });
}

function channelOf({ encrypt, tls }: ClusterConfig): Channel {
  if (tls === undefined) return { encrypt, certificates: undefined };
  return { encrypt, certificates: { cert: read(tls.cert), key: read(tls.key), ca: read(tls.ca) } };
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ImgoError('file_unreadable', { file, detail: code ?? 'it cannot be read' }, { cause: error });
  }
}

/** Where a node that listens everywhere is found: at its first address that others can reach. */
function reachable(address: string): string {
  const { host, port } = splitAddress(address);
  if (host !== '0.0.0.0' && host !== '::') return address;
  const outward = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ internal, family }) => !internal && (host === '::' || family === 'IPv4'));
  if (outward === undefined) return `127.0.0.1:${port}`;
  return outward.family === 'IPv6' ? `[${outward.address}]:${port}` : `${outward.address}:${port}`;
}
