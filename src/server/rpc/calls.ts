/** Which methods each service has over a link: what is not here cannot be asked for from another process. */
import type { WatchService } from '../observe/hub.js';
import type { Registry } from '../router/registry.js';
import type { ClusterService, CometService, LogicService, NodeService } from './services.js';

/** The part of the registry that keeps a node's lease. A comet of another process sees no node but itself. */
export type LeaseService = Pick<Registry, 'join' | 'renew' | 'leave' | 'resynced' | 'nodes'>;

export const SERVICE_CALLS = {
  lease: ['join', 'renew', 'leave', 'resynced', 'nodes'],
  logic: [
    'open',
    'read',
    'report',
    'progress',
    'close',
    'authorizeJoin',
    'openTopic',
    'closeTopic',
    'presence',
    'revalidate',
    'reregister',
  ],
  comet: [
    'notify',
    'disconnect',
    'resync',
    'session',
    'sessionsOf',
    'members',
    'sessionPage',
    'stats',
    'drain',
    'trace',
  ],
  cluster: ['welcome', 'abandon', 'callOff'],
  events: ['watch', 'unwatch'],
  node: ['report', 'trace'],
} as const satisfies {
  readonly lease: readonly (keyof LeaseService)[];
  readonly logic: readonly (keyof LogicService)[];
  readonly comet: readonly (keyof CometService)[];
  readonly cluster: readonly (keyof ClusterService)[];
  readonly node: readonly (keyof NodeService)[];
  readonly events: readonly (keyof WatchService)[];
};
