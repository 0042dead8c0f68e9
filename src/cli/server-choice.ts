// Which server a command talks to: --server, then IMGO_SERVER, then the one that runs on this machine, then the default
// address. Several running ones are an error that lists them: a push must not go to the wrong one.

import { ImgoError } from '../protocol/errors.js';
import { type RunFile, readRunFiles } from './run-files.js';

const DEFAULT_SERVER = 'http://127.0.0.1:7172';

/** A server, and why it was chosen. */
export interface ServerChoice {
  /** Without a trailing slash. */
  readonly url: string;
  readonly from: 'flag' | 'environment' | 'run file' | 'default';
  readonly runFile: RunFile | undefined;
}

/** @throws ImgoError usage, several_servers */
export function chooseServer(flag: string | undefined, env = process.env): ServerChoice {
  const named = env['IMGO_SERVER'];
  if (flag !== undefined) {
    const from = flag === named && !process.argv.some((arg) => arg.startsWith('--server')) ? 'environment' : 'flag';
    const url = normalise(flag, from === 'flag' ? '--server' : 'IMGO_SERVER');
    return { url, from, runFile: readRunFiles().find((file) => file.http === url) };
  }
  const running = readRunFiles();
  if (running.length > 1) {
    throw new ImgoError('several_servers', {
      servers: running.map(({ http, pid, data }) => `${http} (pid ${pid}, ${data})`).join(', '),
    });
  }
  const [only] = running;
  if (only !== undefined) return { url: only.http, from: 'run file', runFile: only };
  return { url: DEFAULT_SERVER, from: 'default', runFile: undefined };
}

/** What was tried, for the error that nobody answered. `why`: `refused`, `no answer in 10s`, … */
export function triedText(choice: ServerChoice, why: string): string {
  const { url, from } = choice;
  if (from === 'default') return `${url} (${why}); no run file; IMGO_SERVER is not set`;
  const source = { flag: '--server', environment: 'IMGO_SERVER', 'run file': 'its run file' }[from];
  return `${url} (${why}), which is from ${source}`;
}

function normalise(given: string, where: string): string {
  const text = /^[a-z]+:\/\//i.test(given) ? given : `http://${given}`;
  const wrong = (detail: string) => new ImgoError('usage', { detail: `${where} ${detail}`, command: '' });
  if (!URL.canParse(text)) throw wrong('wants a URL such as http://127.0.0.1:7172.');
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrong('wants an http URL: the API, not ws or tcp.');
  if (url.username !== '' || url.password !== '') {
    throw wrong('must not contain a key: other users can see it. Use --key-file or IMGO_KEY.');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}
