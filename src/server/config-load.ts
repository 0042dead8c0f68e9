// Gathers settings from defaults < file < environment < flags, checks each against the schema, and remembers where it
// came from. Loaded lazily: it brings zod and the TOML parser with it.

import { z } from 'zod';
import { ImgoError } from '../protocol/errors.js';
import { nearest } from '../protocol/nearest.js';
import { type Config, isEmbedded, toConfig } from './config.js';
import { readConfigFile } from './config-file.js';
import type { SettingMeta } from './config-kinds.js';
import { type Settings, schema } from './config-schema.js';
import { formatSize } from './units.js';

/** A setting given on the command line. */
export interface FlagSetting {
  /** `listen.http`. */
  readonly key: string;
  readonly value: unknown;
  /** The flag as it was typed, `--http`, for messages. */
  readonly where: string;
}

/** What to load from. */
export interface ConfigSources {
  /** --config; undefined is ./imgo.toml, which may be missing. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: readonly FlagSetting[];
  /** What relative paths are relative to. */
  readonly folder: string;
}

/** One setting as `config show` prints it. */
export interface ShownSetting {
  readonly key: string;
  /** As it would be written in imgo.toml. */
  readonly value: string;
  /** `default`, `imgo.toml:14`, `IMGO_LIMITS__FRAME` or `--http`. */
  readonly origin: string;
  readonly unit: string;
  readonly describe: string;
  readonly env: string;
}

/** A configuration and where each part of it came from. */
export interface LoadedConfig {
  readonly config: Config;
  readonly settings: readonly ShownSetting[];
  /** The file that was read. */
  readonly file: string | undefined;
}

interface Given {
  readonly value: unknown;
  readonly where: string;
}

/** Every setting's key and description, in order. */
export function settingKeys(): ReadonlyMap<string, SettingMeta> {
  return leaves;
}

/** `IMGO_LIMITS__FRAME` for `limits.frame`. */
export function envName(key: string): string {
  return `IMGO_${key.replaceAll('.', '__').toUpperCase()}`;
}

/**
 * Loads a configuration.
 * @throws ImgoError config_unreadable, config_unknown, config_invalid
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const given = new Map<string, Given>();
  const file = readConfigFile(sources.file ?? 'imgo.toml', sources.file !== undefined);
  if (file !== undefined) gather(file.values, '', (key) => file.where(key), given);
  for (const [name, value] of Object.entries(sources.env)) fromEnvironment(name, value, given);
  for (const { key, value, where } of sources.flags) {
    known(key, where);
    given.set(key, { value, where });
  }
  const settings = check(given);
  const config = toConfig(settings, (key) => given.has(key), sources.folder);
  checkTogether(config, given);
  checkRoles(config, settings, given);
  return { config, settings: shown(settings, given), file: file?.file };
}

const leaves: ReadonlyMap<string, SettingMeta> = new Map(walk(schema, ''));

function* walk(node: z.core.$ZodType, prefix: string): Generator<[string, SettingMeta]> {
  const inner = node instanceof z.ZodPrefault && !('setting' in node) ? node.def.innerType : node;
  if (inner instanceof z.ZodObject) {
    for (const [name, child] of Object.entries<z.core.$ZodType>(inner.shape)) yield* walk(child, join(prefix, name));
  } else if ('setting' in inner) {
    yield [prefix, inner.setting as SettingMeta];
  }
}

function join(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function isGroup(key: string): boolean {
  for (const leaf of leaves.keys()) if (leaf.startsWith(`${key}.`)) return true;
  return false;
}

function gather(table: object, prefix: string, where: (key: string) => string, into: Map<string, Given>): void {
  for (const [name, value] of Object.entries(table)) {
    const key = join(prefix, name);
    if (isTable(value) && (isGroup(key) || (!leaves.has(key) && Object.keys(value).length > 0))) {
      gather(value, key, where, into);
      continue;
    }
    if (isGroup(key)) {
      throw new ImgoError('config_invalid', { where: where(key), key, detail: 'must be a table of settings' });
    }
    known(key, where(key));
    into.set(key, { value, where: where(key) });
  }
}

/** Variables with `__` are settings, and so are those of settings without a section; others may be anybody's. */
function fromEnvironment(name: string, value: string | undefined, into: Map<string, Given>): void {
  if (!name.startsWith('IMGO_') || value === undefined) return;
  const key = name.slice('IMGO_'.length).toLowerCase().replaceAll('__', '.');
  if (!leaves.has(key)) {
    if (!key.includes('.')) return;
    const near = nearest(key, leaves.keys());
    throw new ImgoError('config_unknown', { where: 'environment', key: name, nearest: near && envName(near) });
  }
  into.set(key, { value, where: name });
}

function known(key: string, where: string): void {
  if (leaves.has(key)) return;
  throw new ImgoError('config_unknown', { where, key, nearest: nearest(key, leaves.keys()) });
}

function check(given: ReadonlyMap<string, Given>): Settings {
  const input: Record<string, unknown> = {};
  for (const [key, { value }] of given) {
    const path = key.split('.');
    const last = path.pop() ?? key;
    let at = input;
    for (const part of path) {
      const table = (at[part] ?? {}) as Record<string, unknown>;
      at[part] = table;
      at = table;
    }
    at[last] = value;
  }
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = issue?.path.join('.') ?? '';
  throw invalid(key, issue?.message ?? 'is not valid', given);
}

function invalid(key: string, detail: string, given: ReadonlyMap<string, Given>): ImgoError {
  return new ImgoError('config_invalid', { where: given.get(key)?.where ?? 'default', key, detail });
}

/** What one setting asks of another. */
function checkTogether({ limits, delivery, rooms }: Config, given: ReadonlyMap<string, Given>): void {
  const largest = limits.payloadBytes;
  for (const [key, bytes] of [
    ['delivery.keep.bytes', delivery.keep.bytes],
    ['rooms.keep.bytes', rooms.keep.bytes],
    ['limits.lag.max', limits.lagBytes],
  ] as const) {
    if (bytes >= largest) continue;
    const culprit = given.has(key) ? key : 'limits.payload';
    const detail =
      culprit === key
        ? `must hold one message: limits.payload is ${formatSize(largest)}`
        : `must not be above ${key}, which is ${formatSize(bytes)}`;
    throw invalid(culprit, detail, given);
  }
}

/** What the roles of a process need of the rest. */
function checkRoles(config: Config, settings: Settings, given: ReadonlyMap<string, Given>): void {
  const { roles, redis, kafka, cluster, workers } = config;
  const fail = (key: string, detail: string): never => {
    throw invalid(key, detail, given);
  };
  const alone = roles.length === 1 && roles[0] === 'comet';
  if (settings.role.length === 0) fail('role', 'must name a role: all, comet, logic or job');
  if (settings.queue.kafka.brokers.length > 0 && kafka === undefined) {
    fail('queue.kafka.brokers', 'has an effect only with queue.engine = "kafka"');
  }
  if (kafka !== undefined && kafka.brokers.length === 0)
    fail('queue.engine', 'is "kafka": queue.kafka.brokers says where');
  if (kafka?.sasl?.passwordFile === '') fail('queue.kafka.username', 'needs queue.kafka.password_file');
  if (isEmbedded(config)) {
    if (kafka !== undefined) fail('queue.engine', 'is "kafka": the store has to be Redis then; redis.url says where');
    return;
  }
  if (alone) {
    if (cluster.logic.length === 0) fail('role', 'is comet alone: cluster.logic says where its logics are');
  } else {
    if (redis === undefined) fail('role', 'is one of several apart: redis.url says where their store is');
    if (kafka === undefined) fail('redis.url', 'is set: what was accepted has to wait in Kafka then; set queue.engine');
    if (cluster.logic.length > 0 && roles.includes('logic')) {
      fail('cluster.logic', 'is for comets without a logic in their process');
    }
    if (roles.includes('comet') && !roles.includes('logic') && cluster.logic.length === 0) {
      fail('role', 'has a comet without a logic: cluster.logic says where those are');
    }
  }
  if (cluster.keyFile === undefined) {
    fail('role', 'is one of several apart: cluster.key_file is the key by which they know each other');
  }
  const { cert, key, ca } = settings.cluster.tls;
  if ([cert, key, ca].some((file) => file === '') && [cert, key, ca].some((file) => file !== '')) {
    fail('cluster.tls.cert', 'needs cluster.tls.key and cluster.tls.ca beside it');
  }
  if (cluster.rpc === undefined) fail('cluster.rpc', 'is off: other roles have to reach this one');
  if (workers !== 1 && roles.includes('comet')) {
    fail(
      'workers',
      'is for one server alone: start as many comets, each a process with ports and a cluster.node of its own ' +
        '(a cluster to try out: --nodes N)',
    );
  }
}

function shown(settings: Settings, given: ReadonlyMap<string, Given>): readonly ShownSetting[] {
  return [...leaves].map(([key, { unit, describe, print }]) => {
    let value: unknown = settings;
    for (const part of key.split('.')) value = (value as Readonly<Record<string, unknown>>)[part];
    return {
      key,
      value: print(value as never),
      origin: given.get(key)?.where ?? 'default',
      unit,
      describe,
      env: envName(key),
    };
  });
}
