// Opens the durable store: locks its folder, checks the file before lmdb sees it, begins a new epoch, and only then
// hands out the engines. What was accepted before a crash is there again.

import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Buckets, BucketsOptions } from './buckets.js';
import { Counters } from './counters.js';
import type { Credentials } from './credentials.js';
import { LmdbBuckets } from './lmdb/buckets.js';
import { Committer } from './lmdb/committer.js';
import { LmdbCredentials } from './lmdb/credentials.js';
import { Engine } from './lmdb/engine.js';
import { type Folder, openFolder } from './lmdb/folder.js';
import { Space } from './lmdb/space.js';
import { openTables, type Tables } from './lmdb/tables.js';
import { Unrecorded } from './lmdb/unrecorded.js';
import { SessionTable } from './sessions.js';

const META_KEY = Buffer.from('state');
const RESERVE_BYTES = 256 * 1_048_576;
const META_BYTES = 13;

export interface LmdbOptions {
  /** The data folder; made when it is not there. */
  readonly path: string;
  readonly options: BucketsOptions;
  readonly clock: Clock;
  /** Of this program: for who finds the folder locked. */
  readonly version?: string;
  /** Free bytes, on disk and inside the store, below which pushes are refused. Default 256 MiB. */
  readonly reserveBytes?: number;
  /** Bytes that the disk of a folder can still take; asks the system by default. */
  readonly freeBytes?: (folder: string) => number;
  /** How large the store may ever grow: address space. Default 1 TiB. */
  readonly mapBytes?: number;
  /** Logs and index entries kept at hand, each up to twice. Defaults 50,000 and 500,000. */
  readonly cache?: { readonly logs: number; readonly entries: number };
}

export interface LmdbStore extends AsyncDisposable {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  /** Tells those who find the folder locked where this server answers. */
  announce(url: string): void;
}

interface Meta {
  readonly epoch: number;
  /** The last epoch that ended in a crash. */
  readonly crashedEpoch: number;
  /** Whether `epoch` ended in order. */
  readonly clean: boolean;
}

/** @throws ImgoError data_locked, data_newer, data_damaged, data_unusable, store_full */
export async function openLmdbStore(settings: LmdbOptions): Promise<LmdbStore> {
  const { path, options, clock } = settings;
  const folder = await openFolder(path, settings.version ?? 'unknown', clock);
  let tables: Tables | undefined;
  let unrecorded: Unrecorded | undefined;
  try {
    await folder.check();
    tables = await openTables(join(path, 'store.mdb'), settings.mapBytes);
    folder.arbitrate(tables);
    const counters = new Counters();
    const space = new Space(tables, clock, path, settings.reserveBytes ?? RESERVE_BYTES, settings.freeBytes);
    const committer = new Committer(tables, clock, counters, space);
    const last = readMeta(tables, path);
    unrecorded = new Unrecorded(path, last.epoch);
    const crashedEpoch = last.clean ? last.crashedEpoch : last.epoch;
    const meta = { epoch: Math.max(last.epoch + 1, Math.floor(clock.now() / 1000)), crashedEpoch, clean: false };
    await writeMeta(tables, committer, meta);
    const cache = settings.cache ?? { logs: 50_000, entries: 500_000 };
    const sessions = new SessionTable();
    const { epoch } = meta;
    const parts = { tables, options, clock, counters, sessions, committer, epoch, crashedEpoch, unrecorded, cache };
    return new OpenStore(new Engine(parts), space, folder, meta);
  } catch (error) {
    unrecorded?.close(false);
    await tables?.root.close();
    folder.release();
    if (error instanceof ImgoError) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    throw new ImgoError('data_damaged', { data: path, detail }, { cause: error });
  }
}

class OpenStore implements LmdbStore {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly #engine: Engine;
  readonly #folder: Folder;
  readonly #meta: Meta;
  #closing: Promise<void> | undefined;

  constructor(engine: Engine, space: Space, folder: Folder, meta: Meta) {
    const { tables, committer, clock } = engine.parts;
    this.#engine = engine;
    this.#folder = folder;
    this.#meta = meta;
    this.buckets = new LmdbBuckets(engine, space);
    this.credentials = new LmdbCredentials(tables, committer, clock);
  }

  announce(url: string): void {
    this.#folder.announce(url);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { tables, committer, unrecorded } = this.#engine.parts;
    this.#engine.recording.all = true;
    const clean =
      committer.broken === undefined &&
      (await writeMeta(tables, committer, { ...this.#meta, clean: true }).then(
        () => true,
        () => false,
      ));
    await committer.close();
    unrecorded.close(clean);
    if (committer.broken === undefined) await tables.root.close();
    this.#folder.release();
  }
}

/** @throws ImgoError data_damaged: without the last epoch an id could be given out twice. */
function readMeta(tables: Tables, data: string): Meta {
  const value = tables.meta.get(META_KEY);
  if (value === undefined) return { epoch: 0, crashedEpoch: 0, clean: true };
  if (value.length !== META_BYTES || value.readUInt32LE(9) !== crc32(value.subarray(0, 9))) {
    throw new ImgoError('data_damaged', { data, detail: 'the last epoch cannot be read' });
  }
  return { epoch: value.readUInt32LE(0), crashedEpoch: value.readUInt32LE(4), clean: value.readUInt8(8) === 1 };
}

function writeMeta(tables: Tables, committer: Committer, meta: Meta): Promise<void> {
  const value = Buffer.alloc(META_BYTES);
  value.writeUInt32LE(meta.epoch, 0);
  value.writeUInt32LE(meta.crashedEpoch, 4);
  value.writeUInt8(meta.clean ? 1 : 0, 8);
  value.writeUInt32LE(crc32(value.subarray(0, 9)), 9);
  return new Promise((resolve, reject) => {
    const build = (): void => void tables.meta.put(META_KEY, value);
    committer.add({ build, committed: resolve, failed: reject });
  });
}
