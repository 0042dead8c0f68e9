/**
 * What lies under a link between processes: TCP as it is between two ends on loopback, else Node's TLS: under the key that the
 * two share (PSK, TLS 1.3), or with certificates of both sides where files are given. Whether a connection is on loopback
 * both sides see alike, by the address of the other.
 */
import type { Socket } from 'node:net';
import { TLSSocket, type TlsOptions, connect as tlsConnect } from 'node:tls';
import { isLoopback } from '../config.js';
import type { Role } from '../router/registry.js';

/** How links are kept private. */
export interface Channel {
  /** `always`: on loopback, too. */
  readonly encrypt: 'remote' | 'always';
  /** PEM. undefined: under the shared key. */
  readonly certificates: { readonly cert: Buffer; readonly key: Buffer; readonly ca: Buffer } | undefined;
}

/** The one suite of TLS 1.3 that goes with a shared key made of SHA-256. */
const PSK_SUITE = 'TLS_AES_128_GCM_SHA256';

/** Who dials: `role` tells the other side which key is meant. Rejects with what the system or TLS says. */
export function encryptDialled(socket: Socket, channel: Channel, role: Role, key: Uint8Array): Promise<Socket> {
  if (isPlain(socket, channel)) return Promise.resolve(socket);
  const { certificates } = channel;
  const secure = tlsConnect({
    socket,
    minVersion: 'TLSv1.3',
    // Nodes are known by their keys, which the first words on the link prove, not by the names of their machines.
    checkServerIdentity: () => undefined,
    ...(certificates ?? { ciphers: PSK_SUITE, pskCallback: () => ({ psk: key, identity: role }) }),
  });
  return settled(secure, 'secureConnect');
}

/** Who was dialled. `keyFor`: of the role that dials. */
export function encryptAccepted(
  socket: Socket,
  channel: Channel,
  keyFor: (role: Role) => Uint8Array | undefined,
): Promise<Socket> {
  if (isPlain(socket, channel)) return Promise.resolve(socket);
  const { certificates } = channel;
  const options: TlsOptions =
    certificates === undefined
      ? { ciphers: PSK_SUITE, pskCallback: (_socket, role) => keyFor(role as Role) ?? null }
      : { ...certificates, requestCert: true, rejectUnauthorized: true };
  const secure = new TLSSocket(socket, { isServer: true, minVersion: 'TLSv1.3', ...options });
  return settled(secure, 'secure');
}

function isPlain(socket: Socket, { encrypt }: Channel): boolean {
  return encrypt === 'remote' && isLoopback(socket.remoteAddress ?? '');
}

function settled(socket: TLSSocket, done: 'secureConnect' | 'secure'): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const failed = (error?: Error) => reject(error ?? new Error('the connection was closed'));
    socket.once('error', failed).once('close', () => failed());
    socket.once(done, () => {
      socket.off('error', failed);
      resolve(socket);
    });
  });
}
