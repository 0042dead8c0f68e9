// What carries bytes for a client: a TCP stream or a WebSocket. The client's core knows no more than this, so that it
// runs in a browser; dial functions stand in websocket.ts (everywhere) and tcp.ts (Node).

/** One connection attempt. After `closed` nothing more is called. */
export interface CarrierEvents {
  opened(): void;
  /** A chunk of the stream (tcp), or one message (ws: text as a string). */
  data(data: Uint8Array | string): void;
  /** `code` is the WebSocket close code where there is one. */
  closed(code: number | undefined, reason: string): void;
}

/** A dialled connection. */
export interface Carrier {
  send(data: Uint8Array | string): void;
  /** Ends the connection; `closed` follows. */
  close(code?: number, reason?: string): void;
  /** Stops and restarts reading where the transport can; a browser's WebSocket cannot. */
  readonly pause?: () => void;
  readonly resume?: () => void;
}

/** Starts a connection attempt. */
export type Dial = (events: CarrierEvents) => Carrier;
