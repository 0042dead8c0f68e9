// The error table and the disconnect table: every row complete, every template renders, the texts that are promised.

import { describe, expect, it } from 'vitest';
import { DISCONNECT, disconnectByCode, disconnectForFault } from '../../../src/protocol/disconnect.js';
import {
  asImgoError,
  ERRORS,
  type ErrorCode,
  errorFromProblem,
  fillTemplate,
  ImgoError,
} from '../../../src/protocol/errors.js';
import { encodeText } from '../../../src/protocol/text.js';

const CODES = Object.keys(ERRORS) as ErrorCode[];
const EXITS = new Set([1, 2, 3, 4, 5, 6, 98, 99, 124, 130]);

/** Every parameter of a row, with a value that shows. */
function parametersOf(code: ErrorCode): Record<string, string> {
  const row = ERRORS[code];
  const texts = [row.message, 'why' in row ? row.why : '', ...row.advice].join(' ');
  return Object.fromEntries(Array.from(texts.matchAll(/\{(\w+)\}/g), ([, name = '']) => [name, `<${name}>`]));
}

describe.each(CODES)('%s', (code) => {
  const row = ERRORS[code];

  it('has a status, an exit code, a meaning', () => {
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    expect(EXITS).toContain(row.exit);
    expect(row.meaning).toMatch(/^[^{}]+\.$/);
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  it('renders with all its parameters, and says something without any', () => {
    const full = new ImgoError(code, parametersOf(code));
    const bare = new ImgoError(code);
    for (const text of [full.message, full.reason ?? '', ...full.advice]) {
      expect(text).not.toMatch(/\{\w+\}|\[|\]|undefined/);
    }
    expect(full.advice.length).toBe(row.advice.length);
    expect(bare.message).not.toMatch(/\{|\}|undefined/);
    for (const line of bare.advice) expect(line).not.toMatch(/\{\w+\}|undefined/);
  });
});

describe('the promised texts', () => {
  it.each([
    [
      'port_in_use',
      { address: '127.0.0.1:8080', listener: 'tcp', holder: 'java (pid 4121)', next: 8081, name: 'TCP' },
      'Cannot listen on 127.0.0.1:8080 (tcp): java (pid 4121) does.',
      'You named this port, so no other was taken.',
      ['--tcp 8081', '--tcp off if no client uses TCP'],
    ],
    [
      'data_locked',
      { data: '.imgo', version: '0.1.0', pid: 3990, since: '13:40', url: 'http://127.0.0.1:7172', other: '.imgo2' },
      '.imgo is in use by imgo 0.1.0, pid 3990, since 13:40 (http://127.0.0.1:7172).',
      'Two servers on one store would lose messages.',
      ['use it: imgo status', 'imgo serve --data .imgo2 --http 0 --ws 0 --tcp 0'],
    ],
    [
      'key_required',
      { host: '0.0.0.0', port: 7172 },
      'Refusing to listen on 0.0.0.0 without an API key.',
      'Anyone who reaches port 7172 could push to every user.',
      ['imgo key create --scope admin --out imgo.key, then --key-file imgo.key'],
    ],
    [
      'unreachable',
      { tried: 'http://127.0.0.1:7172 (refused); no run file; IMGO_SERVER is not set' },
      'No imgo server found.',
      'Tried http://127.0.0.1:7172 (refused); no run file; IMGO_SERVER is not set.',
      ['imgo serve', '--server URL'],
    ],
    [
      'node_too_old',
      { version: '20.20.2', platform: 'darwin-arm64' },
      'imgo needs Node 24; this is 20.20.2 and the bundled one is not in node_modules.',
      'npm leaves it out with --omit=optional, and there is none for darwin-arm64.',
      ['npm ci --include=optional', 'install Node 24'],
    ],
    [
      'scope_missing',
      { scopes: 'push', needed: 'read sessions' },
      'This key may push, not read sessions.',
      undefined,
      [],
    ],
    [
      'token_refused',
      {},
      'The server refused the token.',
      'It does not say why to a client; with a key: imgo token inspect -',
      [],
    ],
    [
      'config_unknown',
      { where: 'imgo.toml:14', key: 'limits.max_lag', nearest: 'limits.lag.max' },
      'imgo.toml:14: limits.max_lag is not a setting. Did you mean limits.lag.max?',
      undefined,
      ['imgo config show lists every setting'],
    ],
    [
      'config_unknown',
      { where: 'IMGO_X', key: 'x' },
      'IMGO_X: x is not a setting.',
      undefined,
      ['imgo config show lists every setting'],
    ],
    [
      'store_full',
      { data: '.imgo', free: '212 MiB', needed: 256 },
      'Not accepted: the disk of .imgo has 212 MiB left (needs 256). Deliveries and reads go on.',
      undefined,
      ['make space on the disk: pushes are accepted again by themselves'],
    ],
    [
      'fd_limit',
      { node: 'c/2', used: '65,280', cap: '65,536', sessions: '65,214', resume: '65,024' },
      'c/2 stops accepting: 65,280 of 65,536 descriptors. 65,214 sessions go on.',
      undefined,
      ['LimitNOFILE=1048576 in the unit', 'imgo serve --workers auto', 'accepts again below 65,024'],
    ],
  ] as const)('%s', (code, details, message, reason, advice) => {
    const error = new ImgoError(code, details);
    expect(error.message).toBe(message);
    expect(error.reason).toBe(reason);
    expect(error.advice).toEqual(advice);
  });

  it.each([
    ['node_too_old', 500, 2],
    ['port_in_use', 500, 5],
    ['data_locked', 500, 5],
    ['key_required', 500, 2],
    ['unreachable', 503, 3],
    ['scope_missing', 403, 4],
    ['token_refused', 401, 4],
    ['config_unknown', 500, 2],
    ['store_full', 507, 1],
    ['idempotency_mismatch', 422, 5],
    ['idempotency_full', 503, 1],
    ['outcome_unknown', 504, 1],
    ['payload_too_large', 413, 2],
    ['timeout', 504, 124],
    ['interrupted', 500, 130],
    ['partial', 500, 6],
    ['not_json', 400, 2],
  ] as const)('%s is HTTP %i, exit %i', (code, http, exit) => {
    expect([new ImgoError(code).http, new ImgoError(code).exit]).toEqual([http, exit]);
  });
});

describe('an error', () => {
  it('takes a value for a value, whatever it looks like', () => {
    const error = new ImgoError('config_unknown', { where: '{key}', key: '[{nearest}]', nearest: '$& {where}' });
    expect(error.message).toBe('{key}: [{nearest}] is not a setting. Did you mean $& {where}?');
    expect(fillTemplate('{constructor}', {})).toBeUndefined();
  });

  it('keeps its cause and its parameters', () => {
    const cause = new Error('x');
    const error = new ImgoError('internal', { detail: 'disk' }, { cause });
    expect(error.cause).toBe(cause);
    expect(error.details).toEqual({ detail: 'disk' });
    expect(error.retryable).toBe(false);
    expect(new ImgoError('store_full').retryable).toBe(true);
    expect(asImgoError(error)).toBe(error);
    expect(asImgoError(cause)).toMatchObject({ code: 'internal', cause });
    expect(asImgoError(cause).message).not.toContain('x.');
  });

  it('crosses HTTP as a problem document', () => {
    const error = new ImgoError('data_locked', { data: 'd', version: '1', pid: 2 });
    const problem = error.toProblem();
    expect(problem).toEqual({
      type: 'urn:imgo:error:data_locked',
      title: 'd is in use by imgo 1, pid 2.',
      status: 500,
      code: 'data_locked',
      detail: 'Two servers on one store would lose messages.',
      advice: ['use it: imgo status'],
    });
    const back = errorFromProblem(JSON.parse(JSON.stringify(problem)));
    expect(back).toBeInstanceOf(ImgoError);
    expect(back).toMatchObject({
      code: 'data_locked',
      message: error.message,
      reason: error.reason,
      advice: error.advice,
    });
    expect(back?.exit).toBe(5);
  });

  it('of a newer server counts as internal with its own text', () => {
    const back = errorFromProblem({ code: 'from_the_future', title: 'Hm.', status: 418 });
    expect(back).toMatchObject({ code: 'internal', message: 'Hm.', advice: [] });
    for (const document of [null, 1, 'x', [], {}, { code: 1, title: 'x', status: 1 }]) {
      expect(errorFromProblem(document)).toBeUndefined();
    }
  });
});

describe('the disconnect table', () => {
  const rows = Object.entries(DISCONNECT);

  it('has one number a row, within 4000-4999, and names that agree', () => {
    expect(new Set(rows.map(([, row]) => row.code)).size).toBe(rows.length);
    for (const [name, row] of rows) {
      expect(row.name).toBe(name);
      expect(row.code).toBeGreaterThanOrEqual(4000);
      expect(row.code).toBeLessThan(4200);
      expect(disconnectByCode(row.code)).toBe(row);
      expect(encodeText(row.reason).length).toBeLessThanOrEqual(123);
    }
    expect(disconnectByCode(4999)).toBeUndefined();
  });

  it('below 4100 clients come back after a spread delay, from there on not', () => {
    for (const [, row] of rows) {
      if (row.code >= 4100) expect(row.reconnect).toBe(false);
      else expect(row.reconnect && row.reconnect.maxMs > row.reconnect.minMs).toBe(true);
    }
  });

  it('knows why malformed bytes end a connection', () => {
    expect(disconnectForFault('frame_too_large').name).toBe('frame_too_large');
    expect(disconnectForFault('dialect_mismatch').name).toBe('dialect_mismatch');
    expect(disconnectForFault('bad_json').name).toBe('protocol_error');
  });
});
