// The client's core against a server's side written out in frames: where it resumes, what it acknowledges and when,
// how it comes back. Time is driven; the carrier is memory.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CarrierEvents } from '../../../src/client/carrier.js';
import { Client } from '../../../src/client/client.js';
import type { ClientHandlers, ClientOptions, Closed } from '../../../src/client/options.js';
import { DISCONNECT, type DisconnectRow } from '../../../src/protocol/disconnect.js';
import { encodeFrame, limitsFromClients, Op } from '../../../src/protocol/frame.js';
import {
  type LogName,
  type MessageId,
  parseId,
  type RoomId,
  type SessionId,
  type UserId,
} from '../../../src/protocol/ids.js';
import { decodeAck, encodeNativePush, NATIVE_VER, topicBytes } from '../../../src/protocol/native.js';
import {
  encodeDisconnect,
  encodeGap,
  encodeJoinReply,
  encodeNativeAuthReply,
  type NativeAuth,
  parseNativeAuth,
} from '../../../src/protocol/native-json.js';
import { FrameReader } from '../../../src/protocol/reader.js';
import { encodeText } from '../../../src/protocol/text.js';

const id = (text: string): MessageId => parseId(text) as MessageId;
const ROOM = 'r' as RoomId;
const tick = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** One connection as the server sees it. */
class Line {
  readonly events: CarrierEvents;
  readonly sent: { readonly op: number; readonly body: Uint8Array }[] = [];
  closed = false;
  paused = false;
  readonly #reader = new FrameReader(limitsFromClients(65_536));

  constructor(events: CarrierEvents) {
    this.events = events;
  }

  take(data: Uint8Array | string): void {
    this.#reader.push(data as Uint8Array, {
      frame: (buf, start, headerLen, end, op) => {
        this.sent.push({ op, body: buf.slice(start + headerLen, end) });
        return 0;
      },
      fault: (fault) => {
        throw new Error(fault);
      },
    });
  }

  /** What the client said in AUTH. */
  get auth(): NativeAuth {
    const frame = this.sent.find(({ op }) => op === Op.AUTH);
    return parseNativeAuth(frame?.body ?? new Uint8Array()) as NativeAuth;
  }

  get acks(): readonly MessageId[] {
    return this.sent.filter(({ op }) => op === Op.ACK).map(({ body }) => decodeAck(body) as MessageId);
  }

  frame(op: number, body: Uint8Array, seq = 0): void {
    this.events.data(encodeFrame(NATIVE_VER, op, seq, body));
  }

  open(more: { all?: string; rooms?: Record<string, string> } = {}): void {
    const rooms = Object.entries(more.rooms ?? {}).map(([room, head]) => {
      return [room as RoomId, { head: id(head), recovered: true }] as const;
    });
    const reply = {
      session: 's' as SessionId,
      user: '1' as UserId,
      device: undefined,
      head: id('1-100'),
      heartbeatMs: 60_000,
      rooms: new Map(rooms),
      all: more.all === undefined ? undefined : { head: id(more.all), recovered: true },
    };
    this.frame(Op.AUTH_REPLY, encodeNativeAuthReply(reply), 1);
  }

  push(at: string, log: LogName = 'user:1' as LogName, flags = 0): void {
    this.events.data(encodeNativePush(id(at), flags, topicBytes(log), encodeText('{}')));
  }

  end(row?: DisconnectRow): void {
    if (row !== undefined) this.frame(Op.DISCONNECT, encodeDisconnect(row));
    this.events.closed(undefined, 'gone');
  }
}

/** A client and the connections that it made. */
function start(options: Partial<ClientOptions> = {}, handlers: Partial<ClientHandlers> = {}) {
  const lines: Line[] = [];
  const closed: Closed[] = [];
  const client = new Client(
    { url: 'tcp://nowhere:1', token: 'secret', ...options },
    { message: () => {}, closed: (why) => void closed.push(why), ...handlers },
    'tcp',
    (events) => {
      const line = new Line(events);
      lines.push(line);
      queueMicrotask(() => events.opened());
      return {
        send: (data) => line.take(data),
        close: () => {
          line.closed = true;
          queueMicrotask(() => events.closed(undefined, 'closed'));
        },
        pause: () => {
          line.paused = true;
        },
        resume: () => {
          line.paused = false;
        },
      };
    },
  );
  const line = async (index: number): Promise<Line> => {
    for (let tries = 0; tries < 200 && lines[index]?.sent.length !== 1; tries++) await tick(200);
    return lines[index] as Line;
  };
  return { client, lines, closed, line };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('where it resumes', () => {
  it('the user log after what was taken, whatever else is on its way', async () => {
    const { line } = start({ device: undefined as never });
    const first = await line(0);
    expect(first.auth.cursor).toBeUndefined();
    first.open();
    first.push('1-7');
    first.push('1-9');
    first.end();
    expect((await line(1)).auth.cursor).toEqual(id('1-9'));
  });

  it('after a gap, behind it', async () => {
    const { line } = start();
    const first = await line(0);
    first.open();
    first.push('1-7');
    first.frame(Op.GAP, encodeGap({ log: 'user:1' as LogName, after: id('1-7'), upTo: id('1-20') }));
    expect(first.acks.at(-1)).toEqual(id('1-20'));
    first.end();
    expect((await line(1)).auth.cursor).toEqual(id('1-20'));
  });

  it('a room and the broadcasts at the heads it joined at, though nothing came from them', async () => {
    const { line } = start({ rooms: [ROOM] });
    const first = await line(0);
    expect(first.auth.rooms).toEqual(new Map([[ROOM, undefined]]));
    first.open({ all: '1-3', rooms: { r: '1-5' } });
    first.end();
    const second = await line(1);
    expect(second.auth.rooms).toEqual(new Map([[ROOM, id('1-5')]]));
    expect(second.auth.all).toEqual(id('1-3'));
  });

  it('not at the head that a resumed room is told: what lies before it has not come yet', async () => {
    const { line } = start({ rooms: [ROOM] });
    const first = await line(0);
    first.open({ all: '1-3', rooms: { r: '1-5' } });
    first.end();
    const second = await line(1);
    second.open({ all: '1-30', rooms: { r: '1-50' } });
    second.push('1-6', 'room:r' as LogName);
    second.end();
    const third = await line(2);
    expect(third.auth.rooms).toEqual(new Map([[ROOM, id('1-6')]]));
    expect(third.auth.all).toEqual(id('1-3'));
  });

  it('a room read again from an older position goes on from there', async () => {
    const { client, line } = start({ rooms: [ROOM] });
    const first = await line(0);
    first.open({ rooms: { r: '1-50' } });
    const joining = client.join(ROOM, id('1-10'));
    first.frame(Op.JOIN_REPLY, encodeJoinReply(ROOM, { head: id('1-50'), recovered: true }));
    await joining;
    first.push('1-11', 'room:r' as LogName);
    first.end();
    expect((await line(1)).auth.rooms).toEqual(new Map([[ROOM, id('1-11')]]));
  });

  it('rooms that were left are not joined again', async () => {
    const { client, line } = start({ rooms: [ROOM] });
    const first = await line(0);
    first.open({ rooms: { r: '1-5' } });
    void client.leave(ROOM).catch(() => {});
    first.end();
    expect((await line(1)).auth.rooms?.size ?? 0).toBe(0);
  });

  it('with ack none, after what was acknowledged, not after what was handed on', async () => {
    const { client, line } = start({ ack: 'none' });
    const first = await line(0);
    first.open();
    for (const at of ['1-7', '1-8', '1-9']) first.push(at);
    client.acknowledge(id('1-7'));
    expect(first.acks).toEqual([id('1-7')]);
    first.end();
    expect((await line(1)).auth.cursor).toEqual(id('1-7'));
  });
});

describe('acknowledgements', () => {
  it('few go at once, many at most five a second, the last one always', async () => {
    const { line } = start();
    const first = await line(0);
    first.open();
    for (let n = 1; n <= 500; n++) {
      first.push(`1-${n}`);
      await tick(10);
    }
    await tick(1_000);
    expect(first.acks.length).toBeLessThanOrEqual(5 + 5 * 6);
    expect(first.acks[0]).toEqual(id('1-1'));
    expect(first.acks.at(-1)).toEqual(id('1-500'));
  });

  it('never before the reply to AUTH; what was held back goes with it', async () => {
    const { client, line } = start({ ack: 'none' });
    const first = await line(0);
    first.open();
    first.push('1-7');
    first.end();
    const second = await line(1);
    client.acknowledge(id('1-7'));
    expect(second.acks).toEqual([]);
    second.open();
    expect(second.acks).toEqual([id('1-7')]);
  });

  it('a message whose handler is not done is not acknowledged, and the next waits', async () => {
    const done: (() => void)[] = [];
    const { line } = start({}, { message: () => new Promise<void>((resolve) => void done.push(resolve)) });
    const first = await line(0);
    first.open();
    first.push('1-1');
    first.push('1-2');
    await tick();
    expect(done.length).toBe(1);
    expect(first.acks).toEqual([]);
    done[0]?.();
    await tick();
    expect(first.acks).toEqual([id('1-1')]);
    expect(done.length).toBe(2);
  });

  it('a message whose handler returns something that is no promise is done', async () => {
    const got: unknown[] = [];
    const { line } = start({}, { message: (message) => got.push(message.id) as never });
    const first = await line(0);
    first.open();
    first.push('1-1');
    first.push('1-2');
    await tick(1_000);
    expect(got).toEqual([id('1-1'), id('1-2')]);
    expect(first.acks.at(-1)).toEqual(id('1-2'));
  });

  it('ephemeral pushes move nothing', async () => {
    const { line } = start();
    const first = await line(0);
    first.open();
    first.push('0-0', 'user:1' as LogName, 2);
    await tick(1_000);
    expect(first.acks).toEqual([]);
  });
});

describe('handlers', () => {
  it('stop the reading when too much waits, and start it again', async () => {
    const done: (() => void)[] = [];
    const { line } = start(
      { maxPendingBytes: 1_000 },
      { message: () => new Promise<void>((resolve) => void done.push(resolve)) },
    );
    const first = await line(0);
    first.open();
    for (let n = 1; n <= 6; n++) first.push(`1-${n}`);
    expect(first.paused).toBe(true);
    for (let n = 0; n < 6; n++) {
      done[n]?.();
      await tick();
    }
    expect(first.paused).toBe(false);
    await tick(1_000);
    expect(first.acks.at(-1)).toEqual(id('1-6'));
  });

  it('a connection that does not read for a slow handler is not taken for a silent server', async () => {
    const { lines, line } = start({ maxPendingBytes: 300 }, { message: () => new Promise(() => {}) });
    const first = await line(0);
    first.open();
    for (let n = 1; n <= 6; n++) first.push(`1-${n}`);
    expect(first.paused).toBe(true);
    await tick(600_000);
    expect(first.closed).toBe(false);
    expect(lines.length).toBe(1);
  });

  it('that throw are asked again later and later, and nothing behind is handed on', async () => {
    const seen: string[] = [];
    const { closed, line } = start(
      {},
      {
        message: ({ id: at }) => {
          seen.push(String(at?.n));
          throw new Error('no');
        },
      },
    );
    for (let attempt = 0; attempt < 6; attempt++) {
      const each = await line(attempt);
      each.open();
      each.push('1-1');
      each.push('1-2');
      await tick();
      expect(each.acks).toEqual([]);
    }
    expect(seen).toEqual(['1', '1', '1', '1', '1', '1']);
    expect(closed.at(-1)?.retryInMs).toBeGreaterThanOrEqual(8_000);
  });

  it('a gap handler that throws does not lose the gap', async () => {
    let failures = 1;
    const gap = encodeGap({ log: 'user:1' as LogName, after: id('1-0'), upTo: id('1-20') });
    const { line } = start(
      {},
      {
        gap: () => {
          if (failures-- > 0) throw new Error('no');
        },
      },
    );
    const first = await line(0);
    first.open();
    first.frame(Op.GAP, gap);
    expect(first.acks).toEqual([]);
    const second = await line(1);
    expect(second.auth.cursor).toBeUndefined();
    second.open();
    second.frame(Op.GAP, gap);
    expect(second.acks).toEqual([id('1-20')]);
  });
});

describe('coming back', () => {
  it.each(Object.values(DISCONNECT) as DisconnectRow[])('after $name as its row says', async (row) => {
    const { client, closed, lines, line } = start();
    const first = await line(0);
    first.open();
    first.end(row);
    if (row.reconnect === false) {
      expect(await client.ended).toEqual({ code: row.code, reason: row.reason, retryInMs: undefined });
      await tick(300_000);
      expect(lines.length).toBe(1);
      return;
    }
    expect(closed[0]).toMatchObject({ code: row.code, reason: row.reason });
    expect(closed[0]?.retryInMs).toBeGreaterThanOrEqual(row.reconnect.minMs);
    expect(closed[0]?.retryInMs).toBeLessThanOrEqual(row.reconnect.maxMs);
    expect(lines.length).toBe(1);
    await tick(row.reconnect.maxMs);
    expect(lines.length).toBeGreaterThan(1);
  });

  it('without a word later and later, up to 30 s, until one answers', async () => {
    const { closed, line } = start();
    for (let attempt = 0; attempt < 10; attempt++) (await line(attempt)).end();
    const waits = closed.map(({ retryInMs }) => retryInMs ?? 0);
    expect(waits[0]).toBeLessThanOrEqual(500);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(15_000);
    const answered = await line(10);
    answered.open();
    answered.end();
    expect(closed.at(-1)?.retryInMs).toBeLessThanOrEqual(500);
  });

  it('a server that does not answer the AUTH, or falls silent, is left', async () => {
    const { lines, line } = start({ connectTimeoutMs: 5_000 });
    const first = await line(0);
    await tick(5_000);
    expect(first.closed).toBe(true);
    const second = await line(1);
    second.open();
    await tick(200_000);
    expect(second.closed).toBe(true);
    expect(lines.length).toBeGreaterThan(2);
  });

  it('not after close, nor with reconnect false', async () => {
    const { client, line } = start();
    (await line(0)).open();
    expect(await client.close()).toMatchObject({ retryInMs: undefined });
    const once = start({ reconnect: false });
    (await once.line(0)).end();
    expect(await once.client.ended).toMatchObject({ reason: 'gone', retryInMs: undefined });
  });

  it('a token is fetched for every attempt, and one that cannot be had is tried again', async () => {
    let calls = 0;
    const token = async (): Promise<string> => {
      calls++;
      if (calls === 1) throw new Error('offline');
      return `token ${calls}`;
    };
    const { line, closed } = start({ token });
    const second = await line(1);
    expect(second.auth.token).toBe('token 2');
    expect(closed[0]?.reason).toMatch(/offline/);
  });

  it('bytes that make no sense end the connection, a malformed gap as well', async () => {
    const { lines, line } = start();
    const first = await line(0);
    first.open();
    first.frame(Op.GAP, encodeText('{"log":"user:1"}'));
    expect(first.closed).toBe(true);
    const second = await line(1);
    second.events.data(new Uint8Array(16));
    expect(second.closed).toBe(true);
    await line(2);
    expect(lines.length).toBe(3);
  });

  it('who waits for a room is told when the connection goes', async () => {
    const { client, line } = start();
    const first = await line(0);
    await expect(client.join(ROOM)).rejects.toThrow(/open native connection/);
    first.open();
    const joining = client.join(ROOM);
    const refused = expect(joining).rejects.toThrow(/the connection was closed/);
    first.end();
    await refused;
  });
});
