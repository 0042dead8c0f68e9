// What the server tells the page with the document (src/server/logic/try-it.ts writes it), and what follows from where the
// page was opened.

/** As TryItFacts of the server. */
export interface Facts {
  readonly version: string;
  readonly mode: 'development' | 'production';
  readonly ws: { readonly host: string | null; readonly port: number; readonly path: string } | null;
  readonly command: string;
  readonly payloadBytes: number;
}

/** Where an address bar is: the part of `location` that counts. */
export interface Opened {
  readonly protocol: string;
  readonly hostname: string;
  readonly host: string;
  readonly port: string;
}

/** Where WebSocket clients connect; undefined: somebody has to say it. Behind TLS there is a proxy, with both on one host. */
export function socketUrl({ ws }: Facts, at: Opened): string | undefined {
  if (at.protocol === 'https:') return `wss://${at.host}${ws?.path ?? '/sub'}`;
  return ws === null ? undefined : `ws://${ws.host ?? at.hostname}:${ws.port}${ws.path}`;
}
