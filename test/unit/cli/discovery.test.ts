// How commands find a server: run files of live processes, the environment, a flag; and who holds a port.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientUrl } from '../../../src/cli/listen/address.js';
import { type RunFile, readRunFiles, runFolder, writeRunFile } from '../../../src/cli/run-files.js';
import { portHolder } from '../../../src/cli/serve/port-holder.js';
import { settlePorts } from '../../../src/cli/serve/ports.js';
import { chooseServer, triedText } from '../../../src/cli/server-choice.js';
import { ImgoError } from '../../../src/protocol/errors.js';
import { loadConfig } from '../../../src/server/config-load.js';

let state = '';
const before = { ...process.env };
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'imgo-state-'));
  process.env['XDG_STATE_HOME'] = state;
  delete process.env['IMGO_SERVER'];
});
afterEach(() => {
  process.env = { ...before };
  rmSync(state, { recursive: true });
});

const content: Omit<RunFile, 'pid' | 'started'> = {
  http: 'http://127.0.0.1:7172',
  ws: 'ws://127.0.0.1:8090/sub',
  tcp: '127.0.0.1:8080',
  data: '/tmp/x',
  mode: 'development',
  version: '0.1.0',
  since: 1,
};

function plant(pid: number, more: { readonly [K in keyof RunFile]?: RunFile[K] | undefined } = {}): string {
  mkdirSync(runFolder(), { recursive: true });
  const file = join(runFolder(), `${pid}.json`);
  writeFileSync(file, JSON.stringify({ pid, started: '', ...content, ...more }));
  return file;
}

/** Above every kernel's limit of pids. */
const NOBODY = 2 ** 22 + 1;

describe('run files', () => {
  it('are only for their owner, found again, and removed by who wrote them', () => {
    const remove = writeRunFile(content);
    expect(statSync(join(runFolder(), `${process.pid}.json`)).mode & 0o777).toBe(0o600);
    expect(readRunFiles()).toMatchObject([{ pid: process.pid, http: content.http }]);
    remove?.();
    expect(readRunFiles()).toEqual([]);
    expect(readdirSync(runFolder())).toEqual([]);
  });

  it('of processes that are gone are removed', () => {
    const file = plant(NOBODY);
    expect(readRunFiles()).toEqual([]);
    expect(existsSync(file)).toBe(false);
  });

  it('of a pid that another process has now are removed', () => {
    const file = plant(process.pid, { started: '1' });
    expect(readRunFiles()).toEqual([]);
    expect(existsSync(file)).toBe(false);
  });

  it('that are not such files are passed over', () => {
    plant(process.pid);
    writeFileSync(join(runFolder(), 'notes.txt'), 'x');
    writeFileSync(join(runFolder(), '1.json'), '{"pid":');
    writeFileSync(join(runFolder(), '2.json'), '{"pid":2}');
    expect(readRunFiles()).toHaveLength(1);
  });
});

describe('the server that a command talks to', () => {
  it('is the flag, then the only one that runs, then the default address', () => {
    expect(chooseServer(undefined)).toMatchObject({ url: 'http://127.0.0.1:7172', from: 'default' });
    plant(process.pid, { http: 'http://127.0.0.1:9' });
    expect(chooseServer(undefined)).toMatchObject({ url: 'http://127.0.0.1:9', from: 'run file' });
    expect(chooseServer('example.com:1/')).toMatchObject({ url: 'http://example.com:1', from: 'flag' });
  });

  it('is not guessed among several', () => {
    plant(process.pid, { http: 'http://127.0.0.1:9' });
    plant(process.ppid, { http: 'http://127.0.0.1:10', since: 2 });
    expect(() => chooseServer(undefined)).toThrow(ImgoError);
    expect(() => chooseServer(undefined)).toThrow(/http:\/\/127\.0\.0\.1:9 .*http:\/\/127\.0\.0\.1:10/);
    expect(chooseServer('http://127.0.0.1:10').runFile?.pid).toBe(process.ppid);
  });

  it.each(['ftp://x', 'http://user:key@x', 'http://key@x', 'http://', ':'])('is never %s', (url) => {
    expect(() => chooseServer(url)).toThrow(/--server/);
    expect(() => chooseServer(url)).not.toThrow(/key@/);
  });

  it('and when it does not answer, what was tried is told', () => {
    expect(triedText(chooseServer(undefined), 'refused')).toBe(
      'http://127.0.0.1:7172 (refused); no run file; IMGO_SERVER is not set',
    );
  });
});

describe('the address that a client connects to', () => {
  it('is what the run file says', () => {
    plant(process.pid);
    expect(clientUrl(undefined, undefined)).toBe('ws://127.0.0.1:8090/sub');
    expect(clientUrl(undefined, 'tcp')).toBe('tcp://127.0.0.1:8080');
  });
  it('is a default port beside another HTTP address, or the one that was given', () => {
    expect(clientUrl('https://push.example.com', 'ws')).toBe('wss://push.example.com:8090/sub');
    expect(clientUrl('tcp://push.example.com:9', undefined)).toBe('tcp://push.example.com:9');
  });
  it('is an error where that listener is off', () => {
    plant(process.pid, { ws: undefined, tcp: undefined });
    expect(() => clientUrl(undefined, undefined)).toThrow('ws and tcp are off');
  });
});

describe('a port that is taken', () => {
  async function taken(run: (port: number) => Promise<void>): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await run((server.address() as { port: number }).port);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  const config = (port: number, named: boolean) => {
    const off = ['ws', 'tcp'].map((name) => ({ key: `listen.${name}`, value: 'off', where: 'test' }));
    const { config: loaded } = loadConfig({ env: {}, flags: off, folder: state });
    return { ...loaded, listen: { ...loaded.listen, http: { host: '127.0.0.1', port, named } } };
  };

  it('is told with its holder', () =>
    taken(async (port) => {
      expect(portHolder(port)).toMatch(new RegExp(`^.+ \\(pid ${process.pid}\\)$`));
    }));

  it('fails when somebody named it', () =>
    taken(async (port) => {
      await expect(settlePorts(config(port, true))).rejects.toMatchObject({ code: 'port_in_use', exit: 5 });
    }));

  it('is left for the next free one when nobody did', () =>
    taken(async (port) => {
      const { config: settled, moves } = await settlePorts(config(port, false));
      expect(settled.listen.http?.port).toBeGreaterThan(port);
      expect(moves).toMatchObject([{ listener: 'http', from: port, to: settled.listen.http?.port }]);
    }));

  it('that is not of this machine is refused in words', async () => {
    const wrong = { ...config(0, true) };
    const listen = { ...wrong.listen, http: { host: '192.0.2.1', port: 1_234, named: true } };
    await expect(settlePorts({ ...wrong, listen })).rejects.toMatchObject({ code: 'listen_refused' });
  });
});
