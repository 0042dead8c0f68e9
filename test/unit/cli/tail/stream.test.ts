// How a stream is read: its lines whatever pieces they come in, what is done with them, and who is watched.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ExchangeError } from '../../../../src/cli/http.js';
import { linesOf, openStream } from '../../../../src/cli/http-stream.js';
import type { ShownSession } from '../../../../src/cli/presence.js';
import { nameOf } from '../../../../src/cli/tail/event.js';
import { readTailOptions, streamPath, watchedText } from '../../../../src/cli/tail/options.js';
import { WatchedSessions } from '../../../../src/cli/tail/sessions.js';
import { Sift } from '../../../../src/cli/tail/sift.js';

async function* pieces(...texts: readonly (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

async function all(lines: AsyncGenerator<readonly string[], void>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const some of lines) found.push(...some);
  return found;
}

describe('lines', () => {
  it('are the same wherever the stream is cut', async () => {
    const bytes = Buffer.from('{"a":1}\n\n{"text":"日本 é"}\n{"b":2}\nnot ended');
    for (let at = 0; at <= bytes.length; at += 1) {
      const found = await all(linesOf(pieces(bytes.subarray(0, at), bytes.subarray(at))));
      expect(found).toEqual(['{"a":1}', '{"text":"日本 é"}', '{"b":2}']);
    }
    const single = [...bytes].map((byte) => Buffer.from([byte]));
    expect(await all(linesOf(pieces(...single)))).toHaveLength(3);
  });

  it('that never end are given up', async () => {
    const endless = Array.from({ length: 20 }, () => Buffer.alloc(64 * 1024, 'x'));
    await expect(all(linesOf(pieces(...endless)))).rejects.toThrow('a line is too long');
  });

  it('have a name, wherever it stands, and none that a text pretends', () => {
    expect(nameOf('{"event":"open","at":1}')).toBe('open');
    expect(nameOf('{"at":1,"event":"open"}')).toBe('open');
    expect(nameOf(JSON.stringify({ user: '"event":"gap"', event: 'open' }))).toBe('open');
    expect(nameOf('nothing')).toBeUndefined();
  });
});

describe('a streaming answer', () => {
  let server: Server;
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  async function serve(answer: (response: ServerResponse) => void): Promise<string> {
    server = createServer((_request, response) => answer(response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  const open = (url: string, silenceMs: number, signal = new AbortController().signal) =>
    openStream({ url, headers: {}, timeoutMs: 10_000, silenceMs, signal });

  it('that breaks off is told from one that ends', async () => {
    const whole = await open(await serve((response) => response.end('{"a":1}\n')), 10_000);
    expect(await all(linesOf(whole.chunks))).toEqual(['{"a":1}']);
    server.close();
    const url = await serve((response) => {
      response.write('{"a":1}\n');
      setTimeout(() => response.destroy(), 50);
    });
    const broken = await open(url, 10_000);
    await expect(all(linesOf(broken.chunks))).rejects.toThrow(ExchangeError);
  });

  it('that falls silent counts as lost', async () => {
    const silent = await open(await serve((response) => response.write('{"a":1}\n')), 200);
    await expect(all(linesOf(silent.chunks))).rejects.toThrow('silent for 0.2 s');
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    const stream = await open(await serve((response) => response.write('{"a":1}\n')), 10_000, stop.signal);
    const reading = all(linesOf(stream.chunks));
    stop.abort();
    await expect(reading).rejects.toThrow(ExchangeError);
  });
});

describe('what is asked for', () => {
  it('is a query, and a few words', () => {
    const options = readTailOptions({
      user: ['1', 'a b'],
      event: ['open,gap', 'open'],
      sample: '1%',
      since: '10m',
      payload: 'full',
    });
    expect(streamPath(options, true)).toBe(
      '/v1/events?user=1&user=a+b&event=open%2Cgap&sample=0.01&since=10m&heartbeats=1&payload=full',
    );
    expect(watchedText(options)).toBe('user 1 a b, event open gap, sample 1%');
    expect(streamPath(readTailOptions({ payload: 'size' }), false)).toBe('/v1/events');
    expect(watchedText(readTailOptions({ payload: 'size' }))).toBe('everything');
  });

  it('of who lags is what they do until they have caught up', () => {
    const options = readTailOptions({ 'min-lag': '64KiB', payload: 'size' });
    expect(options.events).toEqual(['held', 'released', 'lag', 'gap', 'close']);
    const sift = new Sift(options);
    const passes = (event: object) => {
      const text = JSON.stringify(event);
      return sift.pass([{ name: nameOf(text) ?? '', text }]).length === 1;
    };
    expect(passes({ event: 'watching', sessions: 2 })).toBe(true);
    expect(passes({ event: 'held', session: 's', bytes: 1_000 })).toBe(false);
    expect(passes({ event: 'lag', session: 's', bytes: 65_536 })).toBe(true);
    expect(passes({ event: 'frame', session: 's' })).toBe(true);
    expect(passes({ event: 'frame', session: 'other' })).toBe(false);
    expect(passes({ event: 'released', session: 's' })).toBe(true);
    expect(passes({ event: 'frame', session: 's' })).toBe(false);
    expect(passes({ event: 'gap', session: 'other', reason: 'lag' })).toBe(true);
  });
});

/** A session as the server lists it. */
const LISTED: ShownSession = {
  session: '',
  user: null,
  device: '',
  node: 'a',
  dialect: 'native',
  transport: 'ws',
  peer: '',
  since: '2026-01-02T14:02:10Z',
  position: '0-0',
  sentTo: null,
  lagBytes: null,
  rooms: null,
  state: null,
};

describe('who is watched', () => {
  it('has a number, is in doubt when a stream begins again, and goes when the server does not know it', () => {
    const sessions = new WatchedSessions();
    sessions.seen({ event: 'open', at: 1, session: 's1', node: 'a', dialect: 'native', transport: 'ws' });
    sessions.seen({ event: 'frame', at: 1, session: 's2', node: 'a' });
    expect(sessions.numberOf('s2')).toBe(2);
    expect(sessions.unlisted(10)).toEqual(['s1', 's2']);
    sessions.ended(['s1'], 1_000);
    expect(sessions.unlisted(10)).toEqual(['s2']);
    expect(sessions.list(2_000)).toHaveLength(2);
    expect(sessions.list(20_000).map(({ session }) => session)).toEqual(['s2']);
    sessions.doubt();
    expect(sessions.unlisted(10)).toEqual(['s2']);
  });

  it('is asked about only as far as it is shown', () => {
    const sessions = new WatchedSessions();
    for (let at = 0; at < 200; at += 1) sessions.seen({ event: 'frame', session: `s${at}` });
    const asked: string[] = [];
    for (let ids = sessions.unlisted(10); ids.length > 0; ids = sessions.unlisted(10)) {
      asked.push(...ids);
      expect(asked.length).toBeLessThanOrEqual(50);
      sessions.listed(ids.map((session) => ({ ...LISTED, session })));
    }
    expect(asked).toHaveLength(50);
  });

  it('is never more than a table can hold', () => {
    const sessions = new WatchedSessions();
    for (let at = 0; at < 5_000; at += 1) sessions.seen({ event: 'frame', session: `s${at}` });
    expect(sessions.list(0)).toHaveLength(1_000);
    expect(sessions.numberOf('s4999')).toBeUndefined();
  });
});
