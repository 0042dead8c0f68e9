// The flags of `serve`, `config show` and `config check` that are settings: one table, so that all three agree.

import * as Flags from '@oclif/core/flags';
import { ImgoError } from '../../protocol/errors.js';
import type { FlagSetting, LoadedConfig } from '../../server/config-load.js';
import { REPEATABLE } from '../flags.js';

const LISTEN = { helpGroup: 'LISTEN', helpValue: 'PORT|HOST:PORT|off' } as const;

/** Flags that become settings, and where to read the rest from. */
export const configFlags = {
  config: Flags.string({ helpValue: 'F', env: 'IMGO_CONFIG', summary: 'settings file; ./imgo.toml where it exists' }),
  set: Flags.string({
    helpValue: 'section.key=value',
    ...REPEATABLE,
    summary: 'one setting, as in imgo.toml; repeatable',
  }),
  host: Flags.string({
    ...LISTEN,
    helpValue: 'A',
    summary: 'address to listen on (127.0.0.1) [env: IMGO_LISTEN__HOST]',
  }),
  http: Flags.string({ ...LISTEN, summary: 'HTTP API (7172); 0: any free port [env: IMGO_LISTEN__HTTP]' }),
  ws: Flags.string({ ...LISTEN, summary: 'WebSocket clients (8090) [env: IMGO_LISTEN__WS]' }),
  tcp: Flags.string({ ...LISTEN, summary: 'TCP clients (8080) [env: IMGO_LISTEN__TCP]' }),
  goim: Flags.string({
    ...LISTEN,
    summary: 'goim clients (off); trusts the user id they state [env: IMGO_LISTEN__GOIM]',
  }),
  'legacy-http': Flags.string({
    ...LISTEN,
    summary: "imgo's and goim's HTTP callers, without a key (off) [env: IMGO_LISTEN__LEGACY_HTTP]",
  }),
  origin: Flags.string({
    ...LISTEN,
    helpValue: 'URL',
    ...REPEATABLE,
    summary: 'pages that may connect (same-host); repeatable [env: IMGO_LISTEN__ORIGINS]',
  }),
  role: Flags.string({
    helpGroup: 'APART',
    helpValue: 'comet|logic|job',
    ...REPEATABLE,
    summary: 'what this process does (all); repeatable, or with commas [env: IMGO_ROLE]',
  }),
  kafka: Flags.string({
    helpGroup: 'APART',
    helpValue: 'HOST:PORT,…',
    summary: 'what was accepted waits in Kafka [env: IMGO_QUEUE__KAFKA__BROKERS]',
  }),
  redis: Flags.string({
    helpGroup: 'APART',
    helpValue: 'URL',
    summary: 'store and router are Redis [env: IMGO_REDIS__URL]',
  }),
  rpc: Flags.string({
    ...LISTEN,
    helpGroup: 'APART',
    summary: 'where other nodes reach this one (127.0.0.1:7173) [env: IMGO_CLUSTER__RPC]',
  }),
  workers: Flags.string({
    helpValue: 'N|auto',
    summary: 'processes that hold connections (1); auto: one a core or as max-conns needs [env: IMGO_WORKERS]',
  }),
  'max-conns': Flags.string({
    helpValue: 'N|auto',
    summary: 'client connections (auto) [env: IMGO_LIMITS__MAX_CONNS]',
  }),
  data: Flags.string({ helpValue: 'DIR', exclusive: ['memory'], summary: 'data folder (.imgo) [env: IMGO_DATA]' }),
  memory: Flags.boolean({ summary: 'keep nothing: all is gone with the process' }),
  'log-format': Flags.string({
    options: ['auto', 'json', 'pretty'],
    summary: 'auto: pretty on a terminal, else JSON [env: IMGO_OBSERVE__LOG__FORMAT]',
  }),
};

/** The values of the flags above. */
export interface ConfigFlagValues {
  readonly config?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly host?: string | undefined;
  readonly http?: string | undefined;
  readonly ws?: string | undefined;
  readonly tcp?: string | undefined;
  readonly goim?: string | undefined;
  readonly 'legacy-http'?: string | undefined;
  readonly origin?: readonly string[] | undefined;
  readonly role?: readonly string[] | undefined;
  readonly kafka?: string | undefined;
  readonly redis?: string | undefined;
  readonly rpc?: string | undefined;
  readonly workers?: string | undefined;
  readonly 'max-conns'?: string | undefined;
  readonly data?: string | undefined;
  readonly memory?: boolean | undefined;
  readonly 'log-format'?: string | undefined;
  readonly 'log-level'?: string | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

const KEYS = {
  host: 'listen.host',
  http: 'listen.http',
  ws: 'listen.ws',
  tcp: 'listen.tcp',
  goim: 'listen.goim',
  'legacy-http': 'listen.legacy_http',
  workers: 'workers',
  'max-conns': 'limits.max_conns',
  'log-format': 'observe.log.format',
  data: 'data',
  redis: 'redis.url',
  rpc: 'cluster.rpc',
} as const;

/** The settings that flags give. @throws ImgoError usage */
export function settingsOf(flags: ConfigFlagValues): readonly FlagSetting[] {
  const given: FlagSetting[] = [];
  if (flags.quiet === true) given.push({ key: 'observe.log.level', value: 'warn', where: '--quiet' });
  if (flags.verbose === true) given.push({ key: 'observe.log.level', value: 'debug', where: '--verbose' });
  const level = flags['log-level'];
  if (level !== undefined) given.push({ key: 'observe.log.level', value: level, where: '--log-level' });
  for (const one of flags.set ?? []) {
    const at = one.indexOf('=');
    if (at <= 0) throw new ImgoError('usage', { detail: '--set wants section.key=value.', command: 'serve' });
    given.push({ key: one.slice(0, at).trim(), value: one.slice(at + 1).trim(), where: '--set' });
  }
  for (const [flag, key] of Object.entries(KEYS) as [keyof typeof KEYS, string][]) {
    const value = flags[flag];
    if (value !== undefined) given.push({ key, value, where: `--${flag}` });
  }
  if (flags.role !== undefined) given.push({ key: 'role', value: flags.role.join(','), where: '--role' });
  if (flags.kafka !== undefined) {
    given.push({ key: 'queue.engine', value: 'kafka', where: '--kafka' });
    given.push({ key: 'queue.kafka.brokers', value: flags.kafka, where: '--kafka' });
  }
  if (flags.origin !== undefined) given.push({ key: 'listen.origins', value: flags.origin, where: '--origin' });
  if (flags.memory === true) given.push({ key: 'data', value: 'memory', where: '--memory' });
  return given;
}

/** The configuration that flags, environment and file make. @throws ImgoError config_unreadable, config_unknown, config_invalid, usage */
export async function loadFromFlags(flags: ConfigFlagValues): Promise<LoadedConfig> {
  const { loadConfig } = await import('../../server/config-load.js');
  return loadConfig({ file: flags.config, env: process.env, flags: settingsOf(flags), folder: process.cwd() });
}
