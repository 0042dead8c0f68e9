// `imgo push` as scripts use it: what it prints, what it takes for a mistake, and lines of messages from a pipe.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine, json, lines, PORTS } from '../harness/command-line.js';
import { startServer } from '../harness/server.js';

const imgo = new CommandLine();
const { begin, folder, run, shell } = imgo;

beforeAll(() => imgo.start());
afterAll(() => imgo.end());

describe('push', () => {
  it('prints a bare id, an object with --json, full names for several', async () => {
    const one = await run(['push', '--user', 'p1', '{"n":1}']);
    expect(one.status).toBe(0);
    expect(one.stdout).toMatch(/^\d+-\d+\n$/);
    expect(one.stderr).toContain('Accepted, on disk.');
    expect(json((await run(['push', '--user', 'p1', '--json', '1'])).stdout)).toEqual({
      log: 'user:p1',
      id: expect.stringMatching(/^\d+-\d+$/),
    });
    const two = await run(['push', '--user', 'p1', '--user', 'p2', '1']);
    expect(two.stdout).toMatch(/^user:p1@\d+-\d+\nuser:p2@\d+-\d+\n$/);
    const rooms = await run(['push', '--room', 'a://1', '--room', 'b', '1']);
    expect(rooms.stdout).toMatch(/^room:a:\/\/1@\d+-\d+\nroom:b@\d+-\d+\n$/);
    expect((await run(['push', '--all', '1', '-q'])).stderr).toBe('');
  });

  it('takes its message from stdin or a file, and sends its bytes', async () => {
    const big = '{"n":12345678901234567890}';
    await run(['push', '--user', 'p3', '-'], { input: `${big}\n` });
    writeFileSync(join(folder, 'm.json'), '{"file":true}');
    await run(['push', '--user', 'p3', '--file', 'm.json']);
    await run(['push', '--user', 'p3', '--text', 'grün "x"']);
    await run(['push', '--user', 'p3', '--base64', '/w==']);
    const { stdout } = await run(['listen', '--user', 'p3', '-n', '4', '--timeout', '20s']);
    expect(stdout).toContain(`"message":${big},`);
    expect(lines(stdout).map(({ message, base64 }) => message ?? base64)).toEqual([
      json(big),
      { file: true },
      'grün "x"',
      '/w==',
    ]);
  });

  it('says with --wait whether it was delivered; nobody there is no failure', async () => {
    const nobody = await run(['push', '--user', 'p4', '1', '--wait']);
    expect(nobody.status).toBe(0);
    expect(nobody.stderr).toMatch(/Nobody is online: kept for 7 d\./);
    const ephemeral = await run(['push', '--user', 'p4', '1', '--ttl', '0']);
    expect([ephemeral.status, ephemeral.stdout]).toEqual([0, '']);
  });

  it.each([
    [['push', '--user', '1'], 'usage'],
    [['push', '1'], 'invalid_target'],
    [['push', '--user', '1', '--all', '1'], 'invalid_target'],
    [['push', '--user', '1', 'not json'], 'not_json'],
    [['push', '--user', '1', '1', '--ttl', 'soon'], 'usage'],
    [['push', '--user', '1', '1', '--timeout', '5s'], 'usage'],
    [['push', '--user', '1', '1', '2'], 'usage'],
    [['push', '--user', '1', '1', '--usr', '2'], 'usage'],
    [['push', '--user', '1', '--file', '/no/such/file'], 'file_unreadable'],
    [['push', '--user', '1', '1', '--idempotency-key', 'a b'], 'idempotency_key_invalid'],
    [['push', '--lines', '--user', '1'], 'usage'],
    [['push', '--all', '1', '--server', 'http://push.invalid'], 'usage'],
    [['push', '--user', '1', '1', '--server', 'http://k3y@127.0.0.1'], 'usage'],
  ])('%j is a mistake of the caller: exit 2', async (args, code) => {
    const { status, stdout, stderr } = await run(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(new RegExp(`^✖ .* {2}${code} · 2\n`));
    expect(stderr).not.toContain('k3y');
    expect(stderr).not.toMatch(/\bat .*\.js:/);
  });

  it('tells a mistake as JSON on stdout where that was asked for', async () => {
    const { status, stdout, stderr } = await run(['push', '--user', '1', 'not json', '--json']);
    expect([status, stderr]).toEqual([2, '']);
    const error = { code: 'not_json', message: 'The message is not JSON.', advice: expect.any(Array) };
    expect(json(stdout)).toEqual({ error });
  });

  it('of a message that is too large says both sizes', async () => {
    const { status, stderr } = await run(['push', '--user', '1', '-'], { input: JSON.stringify('x'.repeat(70_000)) });
    expect(status).toBe(2);
    expect(stderr).toContain('The message has 70002 bytes; the limit is 65536.  payload_too_large · 2');
  });

  it('with --dry-run says whom it would reach, and pushes nothing', async () => {
    const dry = await run(['push', '--user', 'd1', '--user', 'd2', '{ "a":1 }', '--ttl', '5m', '--dry-run']);
    expect([dry.status, dry.stdout]).toEqual([0, 'user:d1  nobody is online\nuser:d2  nobody is online\n']);
    expect(dry.stderr).toBe('9 B to 0 sessions of 0 of 2 users on 0 nodes; kept for 5m.\nNothing was pushed.\n');
    const room = await run(['push', '--room', 'd', '1', '--dry-run', '--json']);
    expect(json(room.stdout)).toMatchObject({ counts: { sessions: 0, nodes: 0 }, targets: [{ log: 'room:d' }] });
    const wrong = await run(['push', '--user', 'd1', '1', '--ttl', '0', '--idempotency-key', 'é', '--dry-run']);
    expect(wrong.status).toBe(2);
    const trace = await run(['msg', 'user:d1@1-1']);
    expect([trace.status, trace.stderr]).toEqual([5, expect.stringContaining('message_not_found · 5')]);
  });

  it('with --trace prints what became of it, the verdict last; trace and msg print it again', async () => {
    const pushed = await run(['push', '--user', 't1', '1', '--trace']);
    const [id, title, ...steps] = pushed.stdout.trimEnd().split('\n');
    expect([pushed.status, id]).toEqual([0, expect.stringMatching(/^\d+-\d+$/)]);
    expect(title).toMatch(new RegExp(`^user:t1@${id} · 1 B · accepted .* · kept · until `));
    expect(steps.at(-1)).toBe('kept · no_session · nobody is online');
    expect(steps.map((line) => line.trim().split(/\s+/)[3])).toEqual([
      'accepted',
      'taken',
      'applied',
      'looked_up',
      expect.anything(),
    ]);
    const again = await run(['trace', `user:t1@${id}`, '--json']);
    expect(json(again.stdout)).toMatchObject({ verdict: { outcome: 'kept', reason: 'no_session' } });
    const message = await run(['msg', `user:t1@${id}`]);
    expect(message.stdout).toMatch(
      /^user:t1@\S+ · 1 B · accepted \S+ · kept · until .*left\)\n {2}0 sessions online\n/,
    );
    const hidden = await run(['msg', `user:t1@${id}`, '--payload']);
    expect([hidden.status, hidden.stderr]).toEqual([4, expect.stringContaining('payloads_hidden · 4')]);
    const gone = await run(['push', '--user', 't1', '1', '--ttl', '0', '--trace', '--json']);
    const [answer = {}, trace = {}] = lines(gone.stdout);
    expect(answer).toMatchObject({ id: null, trace: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(trace).toMatchObject({ verdict: { outcome: 'lost', reason: 'ephemeral' } });
  });

  it('with --idempotency-key is one message however often', async () => {
    const once = await run(['push', '--user', 'p5', '1', '--idempotency-key', 'k']);
    const again = await run(['push', '--user', 'p5', '1', '--idempotency-key', 'k']);
    expect(again.stdout).toBe(once.stdout);
    const other = await run(['push', '--user', 'p5', '2', '--idempotency-key', 'k']);
    expect([other.status, other.stderr]).toEqual([5, expect.stringContaining('idempotency_mismatch · 5')]);
  });
});

describe('push --lines', () => {
  it('prints a result a line in order, and exits 6 when some failed', async () => {
    const input = [
      '{"to":{"user":"l1"},"message":1}',
      'no json',
      '',
      '{"to":{"user":"l1"},"message":2}',
      '{"to":{"nobody":1},"message":3}',
      '{"to":{"users":["l1","l2"]},"message":4}',
    ].join('\n');
    const { status, stdout, stderr } = await run(['push', '--lines'], { input });
    expect(status).toBe(6);
    const results = lines(stdout);
    expect(results).toHaveLength(5);
    expect(results.map(({ error }) => (error as { code: string } | undefined)?.code)).toEqual([
      undefined,
      'invalid_json',
      undefined,
      'unknown_field',
      undefined,
    ]);
    expect(results[1]).toMatchObject({ line: 2 });
    expect(stderr).toContain('2 of 5 were not accepted.');
  });

  it('takes thousands in order', async () => {
    const count = 5_000;
    const input = Array.from({ length: count }, (_, at) => `{"to":{"user":"l3"},"message":${at},"ttl":"1h"}\n`).join(
      '',
    );
    const { status, stdout } = await run(['push', '--lines', '--idempotency-key', 'auto', '-q'], { input });
    expect(status).toBe(0);
    const numbers = lines(stdout).map(({ id }) => Number(String(id).split('-')[1]));
    expect(numbers).toHaveLength(count);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  });

  it('ends quietly when nobody reads on', async () => {
    const one = `{"to":{"room":"l4"},"message":1}`;
    const { status, stdout, stderr } = await shell(`yes '${one}' | head -20000 | imgo push --lines -q | head -1`);
    expect([status, stderr]).toEqual([0, '']);
    expect(lines(stdout)).toHaveLength(1);
  });

  it('ends although its input stays open: when nobody answers, and by Ctrl-C with what was done so far', async () => {
    const open = async (args: readonly string[], until: 'stdout' | undefined) => {
      const child = begin(['push', '--lines', ...args]);
      let stderr = '';
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      const ended = once(child, 'close');
      child.stdin.write('{"to":{"user":"l5"},"message":1}\n');
      if (until !== undefined) {
        await once(child.stdout, 'data');
        child.kill('SIGINT');
      }
      const [status] = (await ended) as [number];
      return { status, stderr };
    };
    const nobody = await open(['--server', 'http://127.0.0.1:9'], undefined);
    expect([nobody.status, nobody.stderr]).toEqual([3, expect.stringContaining('unreachable · 3')]);
    const stopped = await open([], 'stdout');
    expect([stopped.status, stopped.stderr]).toEqual([130, expect.stringMatching(/^1 line: 1 accepted .*\n$/)]);
  });

  it('with a key repeats the lines that may succeed later, and only those', async () => {
    const asked: unknown[][] = [];
    const later = { error: { code: 'overloaded', message: 'Not accepted.', advice: [], retryable: true } };
    const busy = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        const users = lines(body).map(({ to }) => (to as { user: string }).user);
        asked.push(users);
        const answer = users.map((user) =>
          user === 'b' && asked.length < 3 ? later : { log: `user:${user}`, id: '1-1' },
        );
        response.end(answer.map((one) => `${JSON.stringify(one)}\n`).join(''));
      });
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(busy.address() as { port: number }).port}`;
    const input = ['a', 'b', 'c'].map((user) => `{"to":{"user":"${user}"},"message":1}\n`).join('');
    const keyed = await run(['push', '--lines', '--idempotency-key', 'auto', '--server', url], { input });
    expect(keyed.status).toBe(0);
    expect(asked).toEqual([['a', 'b', 'c'], ['b'], ['b']]);
    expect(lines(keyed.stdout).map(({ log }) => log)).toEqual(['user:a', 'user:b', 'user:c']);
    expect(keyed.stderr.match(/Trying again/g)).toHaveLength(1);
    asked.length = 0;
    const bare = await run(['push', '--lines', '--server', url], { input });
    expect([bare.status, asked.length]).toEqual([6, 1]);
    busy.close();
  });

  it('with a key outlives a restart of the server, without a loss and without a duplicate', async () => {
    const state = join(folder, 'restart-state');
    const store = join(folder, 'restart-data');
    const first = await startServer([...PORTS, '--data', store], { XDG_STATE_HOME: state });
    const port = new URL(first.ready.http).port;
    const child = begin(['push', '--lines', '--idempotency-key', 'auto', '--server', first.ready.http], { state });
    let results = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      results += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const send = (from: number, to: number) => {
      for (let at = from; at < to; at++) child.stdin.write(`{"to":{"user":"r"},"message":${at}}\n`);
    };
    const taken = async (count: number) => {
      while (lines(results).length < count) await once(child.stdout, 'data');
    };
    send(0, 100);
    await taken(100);
    await first.end('SIGKILL');
    send(100, 200);
    const second = await startServer(['--http', port, '--ws', '0', '--tcp', '0', '--data', store], {
      XDG_STATE_HOME: state,
    });
    child.stdin.end();
    const [status] = (await once(child, 'close')) as [number];
    expect([status, stderr]).toEqual([0, expect.stringContaining('200 lines: 200 accepted')]);
    const { stdout } = await run(['listen', '--user', 'r', '-n', '200', '--timeout', '20s'], { state });
    expect(lines(stdout).map(({ message }) => message)).toEqual(Array.from({ length: 200 }, (_, at) => at));
    await second.end('SIGTERM');
  });
});
