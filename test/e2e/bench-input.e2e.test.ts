// What can be wrong with a run is told before it: the value, the file, the server, the key. Nothing was started then.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runBenchCommand as bench } from '../harness/bench-command.js';
import { type RunningServer, startServer } from '../harness/server.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-input-'));
const env = { XDG_STATE_HOME: folder };
const key = join(folder, 'admin.key');
const TINY = ['-c', '2', '-d', '1s', '--warmup', '0', '--no-reference'];
let server: RunningServer;

beforeAll(async () => {
  writeFileSync(key, `k_${'a'.repeat(40)}\n`);
  server = await startServer(['--memory', '--http', '0', '--ws', '0', '--tcp', '0', '--key-file', key], env);
});
afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

describe('before anything starts', () => {
  it.each<[string, readonly string[], string, number]>([
    ['a value', ['--conns', 'lots'], '--conns wants a whole number from 1 on or max.', 2],
    ['a mode', ['--mode', 'rooms'], '--mode=rooms', 2],
    ['a flag', ['--con', '5'], 'Did you mean --conns?', 2],
    ['a word', ['compere'], 'Did you mean bench compare?', 2],
    ['a metric', ['--assert', 'lost==0', '--assert', 'p98<5ms'], 'Did you mean p90<5ms?', 2],
    ['a setting', ['--set', 'limits.max_lag=1'], 'limits.max_lag', 2],
    ['too many for one process', ['-c', '50000', '--workers', '1'], 'bench_too_big', 5],
    ['a server that is not here', ['--server', 'http://192.0.2.1'], 'add --yes', 2],
    ['clients that are not here', ['--server', 'http://127.0.0.1:1', '--clients', 'tcp://192.0.2.1:1'], 'add --yes', 2],
    ['a server that is down', ['--server', 'http://127.0.0.1:1'], 'No imgo server found.', 3],
  ])('%s', async (_what, args, says, status) => {
    const told = await bench(args, env);
    expect([told.status, told.stdout]).toEqual([status, '']);
    expect(told.stderr).toContain(says);
    expect(told.stderr).not.toContain('PLAN');
  });

  it.each(['--compare', 'compare'])('%s: a result that is none', async (how) => {
    const notes = join(folder, 'notes.json');
    writeFileSync(notes, '{"format":1}');
    for (const [file, why] of [
      [join(folder, 'none.json'), 'there is no such file'],
      [notes, 'is not a result of imgo bench'],
    ] as const) {
      const told = await bench([how, file, ...(how === 'compare' ? [notes] : [])], env);
      expect([told.status, told.stdout]).toEqual([2, '']);
      expect(told.stderr).toContain(why);
    }
  });

  it('a report that could not be written, and leaves nothing behind where it could', async () => {
    mkdirSync(join(folder, 'reports'));
    for (const file of [join(folder, 'nowhere', 'r.html'), join(folder, 'reports')]) {
      const told = await bench([...TINY, '--html', file], env);
      expect(told.stderr).toContain('report_unwritable · 2');
    }
    const good = ['--html', join(folder, 'reports', 'r.html'), '--out', join(folder, 'reports', 'r.json')];
    expect((await bench([...TINY, ...good, '--dry-run'], env)).status).toBe(0);
    expect(readdirSync(join(folder, 'reports'))).toEqual([]);
  });

  it('does not look for a server by itself', async () => {
    const elsewhere = { ...env, IMGO_SERVER: 'http://127.0.0.1:1' };
    const { status, stdout } = await bench([...TINY, '--dry-run', '--json'], elsewhere);
    expect([status, JSON.parse(stdout).plan.server]).toEqual([0, undefined]);
  });
});

describe('a server that is named', () => {
  it('is asked whether it takes the key', async () => {
    const { http } = server.ready;
    // Elsewhere the server's run file does not say where its key is.
    const elsewhere = { ...env, XDG_STATE_HOME: join(folder, 'elsewhere') };
    expect((await bench([...TINY, '--server', http], elsewhere)).stderr).toContain('key_missing · 4');
    const other = join(folder, 'other.key');
    writeFileSync(other, `k_${'b'.repeat(40)}\n`);
    const refused = await bench([...TINY, '--server', http, '--key-file', other], env);
    expect([refused.status, refused.stdout]).toEqual([4, '']);
    expect(refused.stderr).toContain('key_invalid');
  });

  it('and whether clients get in', async () => {
    const named = ['--server', server.ready.http, '--key-file', key];
    const nobody = await bench([...TINY, ...named, '--clients', 'tcp://127.0.0.1:1'], env);
    expect(nobody.status).toBe(3);
    expect(nobody.stderr).toContain('tcp://127.0.0.1:1 lets no imgo client in over tcp');
    // A port that takes connections and speaks something else.
    const other = createTcp((socket) => socket.end('220 mail ready\r\n')).listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const wrong = await bench([...TINY, ...named, '--clients', `tcp://127.0.0.1:${port}`], env);
    other.close();
    expect([wrong.status, wrong.stdout]).toEqual([3, '']);
    expect(wrong.stderr).toContain('bench_no_clients');
  });

  it('is told to be none when it is another kind of server', async () => {
    const web = createHttp((_request, response) => response.end('<html>')).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    const { port } = web.address() as AddressInfo;
    const { status, stderr } = await bench([...TINY, '--server', `http://127.0.0.1:${port}`], env);
    web.closeAllConnections();
    web.close();
    expect([status, stderr]).toEqual([1, expect.stringContaining('does not answer as imgo does')]);
  });
});
