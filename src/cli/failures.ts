// Whatever a command throws, as an error of the table: what oclif says of a command line, what the system says of a file
// or a stream, and defects.

import { asImgoError, ImgoError } from '../protocol/errors.js';
import { nearest } from '../protocol/nearest.js';

interface OclifError extends Error {
  readonly oclif?: { readonly exit?: number };
  readonly code?: string;
  /** What was unknown, of NonExistentFlagsError. */
  readonly flags?: readonly string[];
  readonly args?: readonly unknown[];
  readonly parse?: { readonly input?: { readonly flags?: Readonly<Record<string, unknown>> } };
}

/** The status of a command that ended itself with it, without an error to tell. */
export function plainExit(thrown: unknown): number | undefined {
  const error = thrown as OclifError;
  return error?.code === 'EEXIT' ? (error.oclif?.exit ?? 0) : undefined;
}

/** The error of the table that stands for what was thrown. `command`: the command's id, with spaces. */
export function asFailure(thrown: unknown, command: string, commands: readonly string[]): ImgoError {
  if (thrown instanceof ImgoError) return thrown;
  if (!(thrown instanceof Error)) return asImgoError(thrown);
  const error = thrown as OclifError;
  const unknown = /^command (.+) not found$/.exec(error.message)?.[1];
  if (unknown !== undefined) {
    const near = nearest(unknown.replaceAll(':', ' '), commands);
    const detail = `${unknown.replaceAll(':', ' ')} is not a command.${near === undefined ? '' : ` Did you mean ${near}?`}`;
    return new ImgoError('usage', { detail, command: '' }, { cause: error });
  }
  if (error.oclif !== undefined) return new ImgoError('usage', { detail: explain(error), command }, { cause: error });
  return asImgoError(error);
}

function explain(error: OclifError): string {
  const wrong = error.constructor.name === 'NonExistentFlagsError' ? error.flags?.[0] : undefined;
  if (wrong !== undefined) {
    const known = Object.keys(error.parse?.input?.flags ?? {});
    const near = nearest((wrong.split('=')[0] ?? '').replace(/^--?/, ''), known);
    return `${wrong.split('=')[0]} is not a flag of this command.${near === undefined ? '' : ` Did you mean --${near}?`}`;
  }
  if (error.constructor.name === 'UnexpectedArgsError') {
    const count = error.args?.length ?? 1;
    // Not repeated: it may be a message, or a secret in the wrong place.
    return `${count === 1 ? 'An argument is' : `${count} arguments are`} not expected here.`;
  }
  const [first = 'The command line is not valid.'] = error.message.split(/\n\s*See more help/);
  const lines = first
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^The following errors? occurred:$/.test(line));
  const text = lines.join(' ').replace(/\s+/g, ' ');
  return /[.?!]$/.test(text) ? text : `${text}.`;
}
