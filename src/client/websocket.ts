// A carrier over the platform's own WebSocket: browsers, and Node since 22.
import type { Carrier, CarrierEvents, Dial } from './carrier.js';

/** Dials `url` (`ws://host:8090/sub`), with a subprotocol where the dialect has one. */
export function dialWebSocket(url: string, subprotocol: string | undefined): Dial {
  return (events: CarrierEvents): Carrier => {
    const socket = subprotocol === undefined ? new WebSocket(url) : new WebSocket(url, subprotocol);
    socket.binaryType = 'arraybuffer';
    let failure = '';
    socket.onopen = () => events.opened();
    socket.onmessage = (message) => {
      const data: unknown = message.data;
      events.data(typeof data === 'string' ? data : new Uint8Array(data as ArrayBuffer));
    };
    socket.onerror = () => {
      failure = 'the WebSocket failed';
    };
    socket.onclose = (close) => {
      const told = close.code >= 4000 ? close.code : undefined;
      events.closed(told, close.reason || failure || 'the connection was closed');
    };
    return {
      send: (data) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(data as Uint8Array<ArrayBuffer> | string);
      },
      close: (code, reason) => socket.close(code ?? 1000, reason),
    };
  };
}
