// Errors in one form: what happened, code and status, why, what next; and the same as JSON. What oclif says of a command
// line becomes such an error, and repeats nothing that may be a secret.

import { afterEach, describe, expect, it } from 'vitest';
import { explainCode } from '../../../src/cli/explain.js';
import { asFailure } from '../../../src/cli/failures.js';
import { asTyped } from '../../../src/cli/own-name.js';
import { errorObject, renderError, wantsJson } from '../../../src/cli/report.js';
import { isUnicode, localise, printable } from '../../../src/cli/style.js';
import { DISCONNECT } from '../../../src/protocol/disconnect.js';
import { ERRORS, ImgoError } from '../../../src/protocol/errors.js';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

function locale(text: string): void {
  delete process.env['LC_ALL'];
  delete process.env['LC_CTYPE'];
  process.env['LANG'] = text;
}

const inUse = new ImgoError('port_in_use', {
  address: '127.0.0.1:8080',
  listener: 'tcp',
  holder: 'java (pid 4121)',
  next: 8_081,
  name: 'TCP',
});

describe('an error on a terminal', () => {
  it('has its code and status at the right edge, why below, and what next', () => {
    locale('en_US.UTF-8');
    const [first, second, ...rest] = renderError(inUse, 110, false, true).split('\n');
    expect(first).toHaveLength(110);
    expect(first).toMatch(/^✖ Cannot listen on 127\.0\.0\.1:8080 \(tcp\): java \(pid 4121\) does\. +port_in_use · 5$/);
    expect(second).toBe(
      '  You named this port, so no other was taken.   → --tcp 8081   → --tcp off if no client uses TCP',
    );
    expect(rest).toEqual([]);
  });

  it('needs no Unicode where the locale has none', () => {
    locale('C');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what is asked for
    expect(renderError(inUse, 100, false, true)).toMatch(/^[\x00-\x7f]+$/);
    expect(renderError(inUse, 100, false, true)).toMatch(/^x Cannot listen.*port_in_use - 5\n.*-> --tcp 8081/);
  });

  it('shows control characters of a parameter and obeys none', () => {
    const evil = new ImgoError('config_unreadable', { file: 'a\u001b[2Jb\u0007', detail: 'no' });
    expect(renderError(evil, 100, false, false)).toContain('a\\x1b[2Jb\\x07');
  });

  it('has its figures in columns, none of them cut', () => {
    locale('en_US.UTF-8');
    const rows = [
      ['memory', '22.1 GiB', 'a machine with more'],
      ['open files', '400', 'sysctl -w fs.file-max=2100000'],
    ];
    const table = { columns: ['limit', 'here', 'change'], rows };
    const error = new ImgoError('bench_too_big', { conns: '5,000,000' }, { table });
    expect(renderError(error, 60, false, true).split('\n').slice(1)).toEqual([
      '  LIMIT           HERE  CHANGE',
      '  memory      22.1 GiB  a machine with more',
      '  open files       400  sysctl -w fs.file-max=2100000',
      '  → --conns max is as many as it holds',
      '  → --best-effort takes fewer where there is no room for all',
    ]);
    expect(errorObject(error)).toMatchObject({
      error: { table: [{ limit: 'memory', here: '22.1 GiB', change: 'a machine with more' }, { limit: 'open files' }] },
    });
  });

  it('is colourless unless asked', () => {
    expect(renderError(inUse, 100, false, true)).not.toContain('\u001b');
    expect(renderError(inUse, 100, true, true)).toContain('\u001b[31m');
  });
});

describe('advice repeats the form that was typed', () => {
  it('as a path', () => {
    process.env['IMGO_ARGV0'] = './bin/imgo';
    expect(asTyped('use it: imgo status')).toBe('use it: ./bin/imgo status');
    expect(asTyped('.imgo is in use by imgo 0.1.0; imgo.toml')).toBe('.imgo is in use by imgo 0.1.0; imgo.toml');
    expect(asTyped('imgo  --help')).toBe('./bin/imgo --help');
    expect(JSON.stringify(errorObject(new ImgoError('unreachable', { tried: 'x' })))).toContain('./bin/imgo serve');
  });
  it('as a name on PATH', () => {
    process.env['IMGO_ARGV0'] = 'imgo';
    expect(asTyped('imgo serve')).toBe('imgo serve');
  });
});

it('the JSON form is code, message, reason and advice', () => {
  process.env['IMGO_ARGV0'] = 'imgo';
  expect(errorObject(inUse)).toEqual({
    error: {
      code: 'port_in_use',
      message: 'Cannot listen on 127.0.0.1:8080 (tcp): java (pid 4121) does.',
      reason: 'You named this port, so no other was taken.',
      advice: ['--tcp 8081', '--tcp off if no client uses TCP'],
    },
  });
});

it('--json is seen before -- only', () => {
  delete process.env['IMGO_JSON'];
  expect(wantsJson(['push', '--json', '--', 'x'])).toBe(true);
  expect(wantsJson(['push', '--', '--json'])).toBe(false);
});

describe('what oclif throws', () => {
  const commands = ['push', 'token create', 'token list'];

  it('a command that does not exist is told with the nearest', () => {
    const error = asFailure(Object.assign(new Error('command tokn:create not found'), { oclif: {} }), '', commands);
    expect(error.code).toBe('usage');
    expect(error.message).toBe('tokn create is not a command. Did you mean token create?');
  });

  it('an argument too many is counted, not repeated', () => {
    class UnexpectedArgsError extends Error {
      readonly oclif = { exit: 2 };
      readonly args = ['my-secret'];
    }
    const error = asFailure(new UnexpectedArgsError('Unexpected argument: my-secret'), 'push', commands);
    expect(error.message).toBe('An argument is not expected here.');
    expect(error.advice).toEqual(['imgo push --help']);
  });

  it('a value behind an unknown flag is not repeated', () => {
    class NonExistentFlagsError extends Error {
      readonly oclif = { exit: 2 };
      readonly flags = ['--usr=my-secret'];
      readonly parse = { input: { flags: { user: {}, room: {} } } };
    }
    const error = asFailure(new NonExistentFlagsError('Nonexistent flag: --usr=my-secret'), 'push', commands);
    expect(error.message).toBe('--usr is not a flag of this command. Did you mean --user?');
  });

  it('a defect stays a defect', () => {
    expect(asFailure(new TypeError('x is undefined'), 'push', commands).code).toBe('internal');
    expect(asFailure('thrown', 'push', commands).code).toBe('internal');
  });
});

describe('explain', () => {
  it('knows every code of both tables', () => {
    for (const code of Object.keys(ERRORS)) expect(explainCode(code).text, code).toContain(code);
    for (const { code, name } of Object.values(DISCONNECT)) {
      expect(explainCode(String(code)).text).toContain(name);
      expect(explainCode(name).text).toContain(name);
    }
  });
  it('offers the nearest for another', () => {
    expect(() => explainCode('por_in_use')).toThrow('Did you mean port_in_use?');
  });
});

describe('the locale', () => {
  it('is LC_ALL, then LC_CTYPE, then LANG', () => {
    expect(isUnicode({ LC_ALL: 'C', LANG: 'en_US.UTF-8' })).toBe(false);
    expect(isUnicode({ LC_CTYPE: 'de_DE.utf8', LANG: 'C' })).toBe(true);
    expect(isUnicode({ LC_ALL: '', LANG: 'C.UTF-8' })).toBe(true);
    expect(isUnicode({})).toBe(false);
  });
  it('decides about signs, not about data', () => {
    expect(localise('a → b · c…', { LANG: 'C' })).toBe('a -> b - c...');
    expect(printable('grün 中文 😀')).toBe('grün 中文 😀');
  });
});
