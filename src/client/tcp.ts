// A carrier over TCP, for Node.
import { connect } from 'node:net';
import type { Carrier, CarrierEvents, Dial } from './carrier.js';

const CLOSE_GRACE_MS = 1_000;

/** Dials a TCP listener of a comet. */
export function dialTcp(host: string, port: number): Dial {
  return (events: CarrierEvents): Carrier => {
    const socket = connect({ host, port, noDelay: true });
    let failure = '';
    socket.on('connect', () => events.opened());
    socket.on('data', (chunk: Buffer) => events.data(chunk));
    socket.on('error', (error) => {
      failure = error.message;
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => events.closed(undefined, failure || 'the connection was closed'));
    return {
      send: (data) => {
        if (socket.writable) socket.write(data);
      },
      close: () => {
        // What was written (the last acknowledgement) still goes out; a peer that does not answer is not waited for.
        socket.end();
        setTimeout(() => socket.destroy(), CLOSE_GRACE_MS).unref();
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    };
  };
}
