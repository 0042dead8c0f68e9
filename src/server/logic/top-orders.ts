// The orders of the tables that `imgo top` shows: what it may ask for.

export const NODE_ORDERS = ['conns', 'fd', 'out', 'flush', 'loop', 'lagging', 'drops', 'cpu', 'rss', 'node'] as const;
export type NodeOrder = (typeof NODE_ORDERS)[number];

export const ROOM_ORDERS = ['members', 'rate', 'sweep', 'lag', 'gaps', 'room'] as const;
export type RoomOrder = (typeof ROOM_ORDERS)[number];

export const SESSION_ORDERS = ['gap', 'lag', 'held', 'since', 'user'] as const;
export type SessionOrder = (typeof SESSION_ORDERS)[number];
