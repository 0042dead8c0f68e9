// The WebSocket side: `ws` does the handshake and the parsing; what goes out is framed by the protocol package and written
// to the upgraded socket directly. What breaks RFC 6455 itself is closed with that RFC's own code (1002, 1007, 1009).

import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { DISCONNECT } from '../../protocol/disconnect.js';
import { NATIVE_SUBPROTOCOL } from '../../protocol/native.js';
import { encodeWebSocket, WsOpcode } from '../../protocol/websocket.js';
import type { CometCore } from './core.js';
import { receiveMessage } from './input.js';
import { takeInbound } from './limits.js';
import { hostAllowed, originAllowed } from './origins.js';
import type { Session } from './session.js';
import { SESSION, type SessionSocket } from './tcp.js';

/** The path that clients upgrade on. */
export const WEBSOCKET_PATH = '/sub';

interface SessionWebSocket extends WebSocket {
  [SESSION]?: Session;
}

/**
 * An HTTP server that upgrades `/sub` and refuses everything else. It listens nowhere: connections that `serveTcp` or
 * `serveWeb` know already are given to it. The handshake's deadline is that of the connection.
 */
export function createWebServer(core: CometCore): Server {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: core.options.limits.frameBytes,
    clientTracking: false,
    autoPong: false,
    handleProtocols: (offered) => (offered.has(NATIVE_SUBPROTOCOL) ? NATIVE_SUBPROTOCOL : false),
  });
  const server = createServer({ headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 0, maxHeaderSize: 16_384 });
  server.on('request', (request, response) => {
    const status = pathOf(request) === WEBSOCKET_PATH ? 426 : 404;
    core.counters.count(`refused_http_${status}`);
    response.writeHead(status, { Connection: 'close', ...(status === 426 ? { Upgrade: 'websocket' } : {}) });
    response.end();
  });
  server.on('upgrade', (request, socket, head) => {
    const session = (socket as SessionSocket)[SESSION];
    const refusal = session === undefined || session.closed ? 503 : refuse(core, request);
    if (refusal !== undefined || session === undefined) {
      deny(core, socket, refusal ?? 503);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => upgraded(session, ws));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Only the parser's errors are the client's words; the others are a connection that broke.
    if (error.code?.startsWith('HPE_') === true) core.counters.count('closed_protocol_error');
    socket.destroy();
  });
  return server;
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? '';
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

/** The status to refuse an upgrade with. */
function refuse(core: CometCore, request: IncomingMessage): number | undefined {
  if (pathOf(request) !== WEBSOCKET_PATH) return 404;
  const { hosts, origins } = core.options.listen;
  const { host, origin } = request.headers;
  return hostAllowed(host, hosts) && originAllowed(origin, host, origins) ? undefined : 403;
}

function deny(core: CometCore, socket: Duplex, status: number): void {
  core.counters.count(status === 403 ? 'closed_origin_refused' : `refused_http_${status}`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  const session = (socket as SessionSocket)[SESSION];
  // Over, and counted: what it does until its socket is gone is nothing of ours.
  session?.broken();
}

function upgraded(session: Session, ws: SessionWebSocket): void {
  session.ws = ws;
  if (ws.protocol === NATIVE_SUBPROTOCOL) session.dialect = 'native';
  ws[SESSION] = session;
  ws.on('message', onMessage);
  ws.on('ping', onPing);
  ws.on('error', onError);
}

function onMessage(this: SessionWebSocket, data: Buffer, binary: boolean): void {
  const session = this[SESSION];
  if (session === undefined) return;
  (session.host as CometCore).heard(session, data.length);
  receiveMessage(session, data, binary);
}

/** At most one pong waits for a socket that takes nothing. */
function onPing(this: SessionWebSocket, data: Buffer): void {
  const session = this[SESSION];
  if (session === undefined || session.closed) return;
  const core = session.host as CometCore;
  core.heard(session, data.length);
  if (!takeInbound(session, core.clock.monotonic(), core.options.limits.inboundPerSecond, false)) {
    session.close(DISCONNECT.rate_limited);
    return;
  }
  session.pong(encodeWebSocket(WsOpcode.PONG, data));
}

/** `ws` has closed by itself with the RFC's code; only the count and our own end are left. */
function onError(this: SessionWebSocket, error: Error & { readonly code?: string }): void {
  const session = this[SESSION];
  if (session === undefined || session.closed) return;
  const tooLarge = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
  session.host.counters.count(tooLarge ? 'closed_frame_too_large' : 'closed_protocol_error');
  session.broken();
}
