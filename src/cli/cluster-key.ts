// Keys by which roles apart know each other: the cluster's, and what a comet or a job alone may be given of it.

import { systemClock } from '../server/clock.js';
import { ClusterKey, type KeyKind } from '../server/rpc/keys.js';
import type { Output } from './output.js';
import { readSecret, reserveSecretFile } from './secrets.js';

export interface ClusterKeyWishes {
  readonly role: Exclude<KeyKind, 'cluster'> | undefined;
  /** File with the cluster's key; undefined: a new one. */
  readonly from: string | undefined;
  readonly out: string | undefined;
}

/** Prints it, or writes it to a new file. @throws ImgoError cluster_key_invalid, file_exists, file_unreadable */
export async function makeClusterKey({ role, from, out }: ClusterKeyWishes, output: Output): Promise<void> {
  const key = from === undefined ? ClusterKey.create(systemClock) : ClusterKey.parse(readSecret(from));
  const kind = role ?? 'cluster';
  const text = key.text(kind);
  if (out !== undefined) {
    reserveSecretFile(out).write(text);
    if (output.json) await output.object({ kind, file: out });
    else output.note(`The key is in ${out}, which only you can read.`);
    return;
  }
  if (output.json) await output.object({ kind, key: text });
  else await output.line(text);
}
