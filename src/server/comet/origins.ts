// Where browsers may come from. A page of another site can open a WebSocket to any address that its visitor reaches: the
// Origin header tells it apart; the Host header tells a name that was made to point here (DNS rebinding).

/** The host of `host[:port]`, lower case, without brackets. undefined when it is none. */
function hostOf(authority: string): string | undefined {
  try {
    return new URL(`http://${authority}`).hostname;
  } catch {
    return undefined;
  }
}

/** True when `host` (with or without a port) is one of `allowed`, where 127.0.0.1 is all of 127/8; undefined allows any. */
export function hostAllowed(host: string | undefined, allowed: readonly string[] | undefined): boolean {
  if (allowed === undefined) return true;
  const name = host === undefined ? undefined : hostOf(host);
  if (name === undefined) return false;
  if (allowed.some((one) => hostOf(one) === name)) return true;
  // No name can be made to point elsewhere when it is an address: all of 127/8 is this machine.
  return allowed.includes('127.0.0.1') && /^127\.\d+\.\d+\.\d+$/.test(name);
}

/** The names that a server on loopback answers to. */
export const LOOPBACK_HOSTS: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];

/**
 * True for a request without Origin (no browser), one from the same host (`same-host`: the port may differ), or from a
 * listed origin; `*` allows all. `null`, the origin of sandboxed pages and files, is only allowed by `*`.
 */
export function originAllowed(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes('*')) return true;
  if (origin !== 'null' && allowed.includes(origin)) return true;
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    return false;
  }
  if (allowed.includes('same-host') && host !== undefined && hostOf(host) === url.hostname) return true;
  return allowed.some((one) => one !== 'same-host' && sameOrigin(one, url));
}

function sameOrigin(listed: string, origin: URL): boolean {
  try {
    return new URL(listed).origin === origin.origin && origin.origin !== 'null';
  } catch {
    return false;
  }
}
