// `tail` in a pipe, against a real server: an object a line as it comes, bounded by -n and --timeout; it outlives its
// connection, says what it missed, and never says a payload that was not asked for.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-tail-'));
const SECRET = 'never-to-be-seen';
let server: RunningServer;

beforeAll(async () => {
  server = await startServer(['--data', join(folder, 'data'), '--http', '0', '--ws', '0', '--tcp', '0'], {
    XDG_STATE_HOME: folder,
    IMGO_STORE__RESERVE: '1MiB',
  });
});

afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

type Line = Readonly<Record<string, unknown>> & { readonly event?: string };

/** A command that goes on; its lines as they come. */
class Running {
  readonly lines: Line[] = [];
  stderr = '';
  readonly ended: Promise<number | null>;
  readonly #child;
  #news: () => void = () => {};

  constructor(args: readonly string[], script?: string) {
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, LANG: 'C.UTF-8', XDG_STATE_HOME: folder };
    this.#child =
      script === undefined
        ? spawn(LAUNCHER, args, { env })
        : spawn('bash', ['-c', script.replaceAll('imgo ', `'${LAUNCHER}' `)], { env });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Line);
      this.#news();
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
      this.#news();
    });
    this.ended = once(this.#child, 'close').then(([status]) => status as number | null);
  }

  /** Resolves when it has printed, or said, what is looked for. */
  async until(holds: () => boolean): Promise<void> {
    let over = false;
    void this.ended.then(() => {
      over = true;
      this.#news();
    });
    while (!holds()) {
      if (over) throw new Error(`ended: ${JSON.stringify(this.lines)}\n${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    }
  }

  async watching(): Promise<void> {
    await this.until(() => this.lines.some(({ event }) => event === 'watching'));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

function run(...args: string[]): Running {
  return new Running(args);
}

async function push(user: string): Promise<void> {
  const pushing = run('push', '--user', user, JSON.stringify({ SECRET }), '--json');
  expect(await pushing.ended).toBe(0);
}

describe('tail in a pipe', () => {
  it('prints what happens with a user, an object a line, and ends after -n events', async () => {
    const tail = run('tail', '--user', '1', '--event', 'open,frame,close', '-n', '3');
    await tail.watching();
    const listening = run('listen', '--user', '1', '-n', '1');
    await listening.until(() => listening.stderr.includes('Listening'));
    await push('1');
    expect(await tail.ended).toBe(0);
    const [watching, ...events] = tail.lines;
    expect(watching).toMatchObject({ event: 'watching', sessions: 0, nodes: 1 });
    expect(events).toHaveLength(3);
    expect(events[0]).toMatchObject({ event: 'open', user: '1', dialect: 'native' });
    expect(events.slice(1).every(({ event }) => event === 'frame')).toBe(true);
    expect(tail.stderr).toContain('User 1 has no session now. Waiting for one.');
    expect(JSON.stringify(tail.lines)).not.toContain(Buffer.from(SECRET).toString('base64').slice(2, 12));
    expect(JSON.stringify(tail.lines)).not.toContain(SECRET);
    await listening.ended;
  });

  it('leaves sizes out where they are to be hidden', async () => {
    const tail = run('tail', '--user', '2', '--event', 'frame', '--payload', 'hidden', '-n', '1');
    await tail.watching();
    const listening = run('listen', '--user', '2', '-n', '1');
    await listening.until(() => listening.stderr.includes('Listening'));
    await push('2');
    expect(await tail.ended).toBe(0);
    expect(tail.lines.at(-1)).toMatchObject({ event: 'frame' });
    expect(tail.lines.at(-1)).not.toHaveProperty('bytes');
    await listening.ended;
  });

  it('ends with 124 when the time is over, and with 130 at Ctrl-C', async () => {
    const late = run('tail', '--user', '3', '--timeout', '1s', '--json');
    expect(await late.ended).toBe(124);
    expect(late.lines.at(-1)).toMatchObject({ error: { code: 'timeout' } });
    const stopped = run('tail', '--user', '3');
    await stopped.watching();
    stopped.kill('SIGINT');
    expect(await stopped.ended).toBe(130);
  });

  it('ends silently when its reader has gone, also when nothing more comes', async () => {
    const piped = new Running([], `imgo tail -q --user 4 | head -1; echo "{\\"status\\":\${PIPESTATUS[0]}}"`);
    expect(await piped.ended).toBe(0);
    expect(piped.lines.map(({ event, status }) => event ?? status)).toEqual(['watching', 0]);
    expect(piped.stderr).toBe('');
  });

  it('says of a room that it does not exist, and of a session that it is not there', async () => {
    const room = run('tail', '--room', 'nowhere', '--timeout', '10s');
    await room.until(() => room.stderr.includes('Room nowhere does not exist'));
    room.kill('SIGTERM');
    const session = run('tail', '--session', 'nobody', '--timeout', '10s');
    await session.until(() => session.stderr.includes('No session nobody'));
    session.kill('SIGTERM');
    await Promise.all([room.ended, session.ended]);
  });

  it.each([
    [['--event', 'opn'], 2, 'usage'],
    [['--sample', '0'], 2, 'usage'],
    [['--min-lag', 'much'], 2, 'usage'],
    [['--since', 'long'], 2, 'usage'],
    [['--since', '2d'], 2, 'invalid_request'],
    [['--payload', 'full'], 4, 'payloads_hidden'],
    [['--server', 'http://127.0.0.1:1'], 3, 'unreachable'],
  ])('%j ends with %i', async (args, status, code) => {
    const tail = run('tail', '--json', ...args);
    expect(await tail.ended).toBe(status);
    expect(tail.lines).toEqual([{ error: expect.objectContaining({ code }) }]);
    expect(tail.stderr).not.toMatch(/\n\s+at /);
  });

  it('takes no frames of more sessions than can be read, but a sample of them', async () => {
    const users = Array.from({ length: 1_001 }, (_, at) => `wide-${at}`);
    const made = await fetch(`${server.ready.http}/v1/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(users.map((user) => ({ user, ttl: '1h' }))),
    });
    const tokens = (await made.json()) as readonly { readonly token: string }[];
    const opened = tokens.map(({ token }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const client = connect(
        { url: `tcp://${server.ready.tcp}`, token },
        { message: () => {}, opened: () => resolve() },
      );
      return { client, promise };
    });
    await using _closed = {
      [Symbol.asyncDispose]: async () => void (await Promise.all(opened.map(({ client }) => client.close()))),
    };
    await Promise.all(opened.map(({ promise }) => promise));
    const wide = run('tail', '--json');
    expect(await wide.ended).toBe(2);
    expect(wide.lines).toEqual([{ error: expect.objectContaining({ code: 'watch_too_wide' }) }]);
    const sample = run('tail', '--sample', '1%', '--timeout', '1s');
    expect(await sample.ended).toBe(124);
    expect(sample.lines[0]).toMatchObject({ event: 'watching' });
    const events = run('tail', '--event', 'open,close,gap', '--timeout', '1s');
    expect(await events.ended).toBe(124);
    expect(events.lines[0]).toMatchObject({ event: 'watching', sessions: 1_001 });
  });

  it('comes back when the server does, and says what it missed', async () => {
    const { port } = new URL(server.ready.http);
    const tail = run('tail', '--user', '5', '--event', 'open', '-n', '1');
    await tail.watching();
    await server.end('SIGKILL');
    await tail.until(() => /Connection lost .*; again in/.test(tail.stderr));
    server = await startServer(['--data', join(folder, 'data'), '--http', port, '--ws', '0', '--tcp', '0'], {
      XDG_STATE_HOME: folder,
      IMGO_STORE__RESERVE: '1MiB',
    });
    await tail.until(() => tail.lines.filter(({ event }) => event === 'watching').length === 2);
    const missed = tail.lines.find(({ event }) => event === 'missed');
    expect(missed).toMatchObject({ reason: 'connection_lost' });
    expect(Number(missed?.['to'])).toBeGreaterThan(Number(missed?.['from']));
    const listening = run('listen', '--user', '5', '--timeout', '30s');
    expect(await tail.ended).toBe(0);
    expect(tail.lines.at(-1)).toMatchObject({ event: 'open', user: '5' });
    listening.kill('SIGINT');
    await listening.ended;
  });
});
