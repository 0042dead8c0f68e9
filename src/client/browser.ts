// The client for browsers (and every platform with a WebSocket).
import { NATIVE_SUBPROTOCOL } from '../protocol/native.js';
import type { Dial } from './carrier.js';
import { Client } from './client.js';
import type { ClientHandlers, ClientOptions } from './options.js';
import { dialWebSocket } from './websocket.js';

export type { Carrier, Dial } from './carrier.js';
export type { Client } from './client.js';
export type { ClientHandlers, ClientOptions, Closed, Message, Opened } from './options.js';

/**
 * Connects over WebSocket and stays connected. `through`: what stands between the client and the network, as a tap that
 * shows what goes by, or a switch.
 */
export function connectWebSocket(
  options: ClientOptions,
  handlers: ClientHandlers,
  through: (dial: Dial) => Dial = (dial) => dial,
): Client {
  const native = (options.dialect ?? 'native') === 'native';
  const dial = dialWebSocket(options.url, native ? NATIVE_SUBPROTOCOL : undefined);
  return new Client(options, handlers, 'ws', through(dial));
}
