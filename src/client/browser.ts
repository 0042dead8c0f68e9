// The client for browsers (and every platform with a WebSocket).
import { NATIVE_SUBPROTOCOL } from '../protocol/native.js';
import { Client } from './client.js';
import type { ClientHandlers, ClientOptions } from './options.js';
import { dialWebSocket } from './websocket.js';

export type { Client } from './client.js';
export type { ClientHandlers, ClientOptions, Closed, Message, Opened } from './options.js';

/** Connects over WebSocket and stays connected. */
export function connectWebSocket(options: ClientOptions, handlers: ClientHandlers): Client {
  const native = (options.dialect ?? 'native') === 'native';
  return new Client(options, handlers, 'ws', dialWebSocket(options.url, native ? NATIVE_SUBPROTOCOL : undefined));
}
