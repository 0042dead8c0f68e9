// The client for Node: TCP and WebSocket by the URL's scheme.
import { connectWebSocket } from './browser.js';
import { Client } from './client.js';
import type { ClientHandlers, ClientOptions } from './options.js';
import { dialTcp } from './tcp.js';

export type { Client } from './client.js';
export type { ClientHandlers, ClientOptions, Closed, Message, Opened } from './options.js';

/** Connects to `tcp://host:port` or `ws://host:port/sub` and stays connected. @throws TypeError for another URL */
export function connect(options: ClientOptions, handlers: ClientHandlers): Client {
  const url = new URL(options.url);
  if (url.protocol === 'ws:' || url.protocol === 'wss:') return connectWebSocket(options, handlers);
  if (url.protocol !== 'tcp:' || url.port === '')
    throw new TypeError('a client URL is tcp://host:port, ws:// or wss://');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Client(options, handlers, 'tcp', dialTcp(host, Number(url.port)));
}
