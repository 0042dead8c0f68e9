/**
 * What a logic lets a comet of another process do: open sessions, act with the handles that an open returned, keep its own
 * lease, serve topics. A handle crosses with a seal over what identifies the session and its comet, and is taken back only
 * with it; a comet speaks only in its own name. So a comet that was taken over harms its own sessions, nobody else's.
 */
import { ImgoError } from '../../protocol/errors.js';
import { type LogName, type NodeId, userLog } from '../../protocol/ids.js';
import type { Lease } from '../router/registry.js';
import type { LeaseService } from '../rpc/calls.js';
import { SERVICE_CALLS } from '../rpc/calls.js';
import type { CallerKeys, ClusterKey } from '../rpc/keys.js';
import type { LinkHandler } from '../rpc/link.js';
import { serve } from '../rpc/remote.js';
import type { ClusterService, LogicService, OpenRequest, SessionHandle, Welcome } from '../rpc/services.js';

/** What a gate stands before. */
export interface GateParts {
  readonly logic: LogicService & Pick<ClusterService, 'abandon'> & { calledOff(comet: NodeId, nonce: string): void };
  readonly lease: LeaseService;
  readonly key: ClusterKey;
  readonly welcome: () => Promise<Welcome>;
  /** `listen.goim` is on: clients of that port are who they say they are. */
  readonly statedIdentities: boolean;
}

/** A lease as it crosses: with what others have to show who dial this comet. */
export interface LeaseWithCallers extends Lease {
  readonly callers: CallerKeys;
}

type SealedHandle = SessionHandle & { readonly seal?: unknown };

/** The handler of a link that this comet dialled. */
export function gateFor(parts: GateParts, node: NodeId): LinkHandler {
  const { logic, welcome } = parts;
  const checked = sealedLogic(parts, node);
  const cluster: ClusterService = {
    welcome,
    abandon: (request) => {
      own(node, request.comet);
      return logic.abandon(request);
    },
    async callOff(comet, nonce) {
      own(node, comet);
      logic.calledOff(comet, nonce);
    },
  };
  return serve([
    { name: 'logic', methods: SERVICE_CALLS.logic, service: checked },
    { name: 'lease', methods: SERVICE_CALLS.lease, service: ownLease(parts, node) },
    { name: 'cluster', methods: SERVICE_CALLS.cluster, service: cluster },
  ]);
}

function sealedLogic({ logic, key, statedIdentities }: GateParts, node: NodeId): LogicService {
  const isOurs = (handle: SealedHandle): boolean =>
    handle.comet === node && key.isSealed(sealedText(handle), handle.seal);
  const check = (handle: SealedHandle): void => {
    if (!isOurs(handle)) throw notYours('this session');
  };
  const checkLog = (log: LogName, handle: SealedHandle | undefined): void => {
    if (!log.startsWith('user:')) return;
    if (handle?.user === undefined || userLog(handle.user) !== log) throw notYours('this log');
    check(handle);
  };
  return {
    async open(request: OpenRequest) {
      own(node, request.comet);
      if (request.credential.kind === 'stated' && !statedIdentities) throw notYours('an identity without a token');
      const reply = await logic.open(request);
      const handle: SealedHandle = { ...reply.handle, seal: key.seal(sealedText(reply.handle)) };
      return { ...reply, handle };
    },
    async read(log, after, limit, handle) {
      checkLog(log, handle);
      return logic.read(log, after, limit);
    },
    async report(reports) {
      const genuine = reports.filter(({ handle }) => isOurs(handle));
      await logic.report(genuine);
      if (genuine.length < reports.length) throw notYours('this session');
    },
    async progress(handle, upTo, acknowledge) {
      check(handle);
      await logic.progress(handle, upTo, acknowledge);
    },
    async close(handle, sentTo, clean) {
      check(handle);
      await logic.close(handle, sentTo, clean);
    },
    async authorizeJoin(handle, room) {
      check(handle);
      await logic.authorizeJoin(handle, room);
    },
    async openTopic(comet, topic) {
      own(node, comet.node);
      if (topic.startsWith('user:')) throw notYours('this log');
      return logic.openTopic(comet, topic);
    },
    async closeTopic(comet, topic) {
      own(node, comet.node);
      await logic.closeTopic(comet, topic);
    },
    presence: (room) => logic.presence(room),
    revalidate: (claims) => logic.revalidate(claims),
    async reregister(handles) {
      for (const handle of handles) check(handle);
      await logic.reregister(handles.map(({ seal: _, ...handle }: SealedHandle) => handle));
    },
  };
}

function ownLease({ lease, key }: GateParts, node: NodeId): LeaseService {
  return {
    async join(record): Promise<LeaseWithCallers> {
      own(node, record.node);
      const joined = await lease.join({ ...record, roles: ['comet'] });
      const callers = key.callersOf({ node, incarnation: joined.incarnation, roles: ['comet'] });
      return { ...joined, callers };
    },
    async renew(held, state) {
      own(node, held.node);
      return lease.renew(held, state);
    },
    async leave(held) {
      own(node, held.node);
      await lease.leave(held);
    },
    async resynced(held, resync) {
      own(node, held.node);
      await lease.resynced(held, resync);
    },
    nodes: async () => (await lease.nodes()).filter((record) => record.node === node),
  };
}

/** What does not change while a session lives: incarnation and number are the comet's to give. */
function sealedText({ session, user, device, token, comet, dialect, transport, peer, since }: SessionHandle): string {
  return JSON.stringify([session, user ?? null, device, token ?? null, comet, dialect, transport, peer, since]);
}

function own(node: NodeId, named: NodeId): void {
  if (named !== node) throw notYours(`node ${named}`);
}

function notYours(what: string): ImgoError {
  return new ImgoError('link_refused', { node: 'logic', why: `${what} is not this comet's` });
}
