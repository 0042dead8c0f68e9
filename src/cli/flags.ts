// Flags that commands share, and kinds of flag values. No flag takes a secret: files, `-` or the environment do.

import * as Flags from '@oclif/core/flags';
import { ImgoError } from '../protocol/errors.js';
import { parseDuration, parseRate } from '../server/units.js';

const GLOBAL = { helpGroup: 'GLOBAL' } as const;

/** A flag that may stand several times, with one value each time. */
export const REPEATABLE = { multiple: true, multipleNonGreedy: true } as const;

/** Flags of every command. */
export const globalFlags = {
  server: Flags.string({
    ...GLOBAL,
    helpValue: 'URL',
    env: 'IMGO_SERVER',
    summary: 'HTTP address of the server; found by itself on this machine',
  }),
  'key-file': Flags.string({
    ...GLOBAL,
    helpValue: 'F',
    env: 'IMGO_KEY_FILE',
    summary: 'file with the API key, - for stdin; or the key itself in IMGO_KEY',
  }),
  json: Flags.boolean({ ...GLOBAL, env: 'IMGO_JSON', summary: 'print JSON: one object, or one a line' }),
  quiet: Flags.boolean({ ...GLOBAL, char: 'q', env: 'IMGO_QUIET', summary: 'only data and errors' }),
  verbose: Flags.boolean({ ...GLOBAL, char: 'v', env: 'IMGO_VERBOSE', summary: 'also requests and causes, on stderr' }),
  'log-level': Flags.string({
    ...GLOBAL,
    env: 'IMGO_LOG_LEVEL',
    options: ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    helpValue: 'LEVEL',
    summary: 'trace, debug, info, warn, error or silent',
  }),
  'no-color': Flags.boolean({ ...GLOBAL, summary: 'no colours; as NO_COLOR' }),
};

/** The error of a value that a flag cannot have. */
export function wrongValue(flag: string, wants: string): ImgoError {
  return new ImgoError('usage', { detail: `--${flag} wants ${wants}.`, command: '' });
}

/** A whole number from 1 on; `or`: what else the flag takes, such as ` or auto`. @throws ImgoError usage */
export function countOf(flag: string, value: string, or = ''): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw wrongValue(flag, `a whole number from 1 on${or}`);
  return Number(value);
}

/** A second, of `1000`, `1000/s` or `600/m`. @throws ImgoError usage */
export function perSecondOf(flag: string, value: string): number {
  const rate = /^\d+$/.test(value) ? Number(value) : parseRate(value);
  if (rate === undefined || rate <= 0 || rate > 1e9) throw wrongValue(flag, 'a rate such as 1000, 1000/s or 600/m');
  return rate;
}

/** Milliseconds of a flag such as `--ttl 7d`; undefined when it was not given. @throws ImgoError usage */
export function durationOf(flag: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = parseDuration(value);
  if (ms === undefined) throw wrongValue(flag, 'a duration such as 90s, 15m or 7d');
  return ms;
}
