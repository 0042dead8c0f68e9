// `push --lines` from its flags to its end: what does not go with it, where the lines come from, and Ctrl-C.

import { once } from 'node:events';
import { createReadStream, type ReadStream } from 'node:fs';
import { ImgoError } from '../../protocol/errors.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { whyUnreadable } from '../secrets.js';
import { type LinesOptions, pushLines } from './lines.js';
import type { TargetFlags } from './target.js';

/** The flags of `push` that matter here; those that say something of one message are refused. */
export interface LinesFlags extends TargetFlags {
  readonly message?: string | undefined;
  readonly file?: string | undefined;
  readonly wait?: boolean;
  readonly trace?: boolean;
  readonly 'dry-run'?: boolean;
}

/** @throws ImgoError usage, file_unreadable, and what {@link pushLines} throws */
export async function pushFromLines(
  flags: LinesFlags,
  options: Omit<LinesOptions, 'signal'>,
  apiFor: () => Promise<Api>,
  output: Output,
): Promise<void> {
  refuseMisplaced(flags);
  const input = flags.file === undefined || flags.file === '-' ? process.stdin : await openLines(flags.file);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort();
    input.destroy();
  });
  try {
    await pushLines(await apiFor(), input, { ...options, signal: stop.signal }, output);
  } finally {
    // A stdin that stays open would hold the process.
    input.destroy();
  }
}

function refuseMisplaced(flags: LinesFlags): void {
  const single = flags.trace ? 'trace' : flags['dry-run'] ? 'dry-run' : undefined;
  if (single !== undefined) throw wrong(`--${single} is for one message, not for --lines.`);
  const { message, user, room, all, wait } = flags;
  const alone = message === undefined && !user && !room && !all && !flags['users-file'] && !wait;
  if (!alone) throw wrong('With --lines each line says its target and message.');
}

function wrong(detail: string): ImgoError {
  return new ImgoError('usage', { detail, command: 'push' });
}

async function openLines(path: string): Promise<ReadStream> {
  const stream = createReadStream(path);
  try {
    await once(stream, 'open');
  } catch (cause) {
    throw new ImgoError('file_unreadable', { file: path, detail: whyUnreadable(cause) }, { cause });
  }
  return stream;
}
