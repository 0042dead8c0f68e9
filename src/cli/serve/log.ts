// The server's log, on stderr: JSON lines for machines, one readable line for people. Never a line a message, and nothing
// secret: what is logged is chosen where it is logged.

import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../../server/config.js';
import { isColoured, localise, paint, printable } from '../style.js';

const NAMES: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** A log as the configuration wants it. */
export function createLog({ level, format }: Config['log']): Logger {
  const people = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  const options = { level, base: null, timestamp: stdTimeFunctions.isoTime };
  return people ? pino(options, readable()) : pino(options, destination({ fd: 2, sync: true }));
}

function readable(): DestinationStream {
  const coloured = isColoured(process.stderr);
  return {
    write(line: string) {
      process.stderr.write(localise(readableLine(line, coloured)));
    },
  };
}

/** `14:02:11.304 warn  what happened  key=value`. */
export function readableLine(line: string, coloured: boolean): string {
  const { level, time, msg, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const at = typeof time === 'string' ? time.slice(11, 23) : '';
  const name = NAMES[Number(level)] ?? String(level);
  const colour = Number(level) >= 50 ? 'red' : Number(level) >= 40 ? 'yellow' : 'dim';
  const details = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const text = printable([String(msg ?? ''), ...details].join('  '));
  return `${paint('dim', at, coloured)} ${paint(colour, name.padEnd(5), coloured)} ${text}\n`;
}
