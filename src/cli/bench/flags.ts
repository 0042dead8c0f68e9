// The flags of `imgo bench`. Defaults are not told to oclif: a preset gives others, and what was given is what counts.

import * as Flags from '@oclif/core/flags';
import { globalFlags, REPEATABLE } from '../flags.js';

const LOAD = { helpGroup: 'LOAD' } as const;
const RUN = { helpGroup: 'RUN' } as const;
const PLACES = { helpGroup: 'PROCESS' } as const;
const OWN = { helpGroup: 'OWN SERVER' } as const;
const RUNNING = { helpGroup: 'RUNNING SERVER' } as const;
const RESULT = { helpGroup: 'RESULT' } as const;

const { server: _server, ...others } = globalFlags;

/**
 * The global flags, without the environment for the server: a benchmark must not hit one because it was set for something
 * else.
 */
export const benchBaseFlags = {
  ...others,
  server: Flags.string({
    ...RUNNING,
    helpValue: 'URL',
    summary: 'measure this one, by its HTTP address; never found by itself, nor taken from IMGO_SERVER',
  }),
};

export const benchFlags = {
  conns: Flags.string({
    ...LOAD,
    char: 'c',
    helpValue: 'N|max',
    summary: 'connections (1000; of http 256); max: what fits here',
  }),
  duration: Flags.string({ ...LOAD, char: 'd', helpValue: 'D', summary: 'how long messages are offered (10s)' }),
  rate: Flags.string({
    ...LOAD,
    char: 'R',
    helpValue: 'N',
    summary: 'messages a second (40), when they are due, whether or not the last was answered',
  }),
  mode: Flags.option({ options: ['room', 'user', 'all', 'idle', 'connect', 'http', 'mix'] as const })({
    ...LOAD,
    char: 'm',
    helpValue: 'MODE',
    summary: 'room (default), user, all: to whom; idle: no message; connect: how fast; http: the push API; mix',
  }),
  rooms: Flags.string({ ...LOAD, helpValue: 'N', summary: 'rooms that the members are spread over (1)' }),
  size: Flags.string({ ...LOAD, helpValue: 'N', summary: 'bytes of a whole frame: 16 and {"test":N} (26)' }),
  transport: Flags.option({ options: ['tcp', 'ws'] as const })({ ...LOAD, helpValue: 'tcp|ws', summary: '(tcp)' }),
  dialect: Flags.option({ options: ['native', 'imgo', 'goim'] as const })({
    ...LOAD,
    helpValue: 'native|imgo|goim',
    summary: 'as which kind of client (imgo)',
  }),
  slow: Flags.string({ ...LOAD, helpValue: '1%', summary: 'connections that stop reading while it is measured' }),
  churn: Flags.string({ ...LOAD, helpValue: '5%/s', summary: 'connections that end and come again' }),
  preset: Flags.option({ options: ['imgo', 'smoke'] as const })({
    ...LOAD,
    helpValue: 'imgo|smoke',
    summary: "imgo's published case: 1,000,000 in a room, 40/s, window 1s, 15m; smoke: 200 for 5 s",
  }),
  seed: Flags.string({ ...RUN, helpValue: 'N', summary: 'for the same choices again; the plan says which it was' }),
  'connect-rate': Flags.string({ ...RUN, helpValue: 'auto|N', summary: 'connections a second (auto)' }),
  warmup: Flags.string({ ...RUN, helpValue: 'D', summary: 'messages before it is measured (3s)' }),
  settle: Flags.string({ ...RUN, helpValue: 'D', summary: 'how long to wait for what is on its way (60s)' }),
  'no-reference': Flags.boolean({ ...RUN, summary: 'leave out the bare sockets that figures are compared with' }),
  'whole-reference': Flags.boolean({
    ...RUN,
    exclusive: ['no-reference'],
    summary: 'bare sockets as many and as long as the run, not a sample: it takes twice as long',
  }),
  'per-process': Flags.string({ ...PLACES, helpValue: 'N', summary: 'sockets of one process (18000)' }),
  addresses: Flags.string({
    ...PLACES,
    helpValue: 'auto|CIDR',
    summary: 'where clients dial from (auto), such as 127.0.8.0/24',
  }),
  workers: Flags.string({ ...OWN, helpValue: 'N|auto', summary: 'processes that hold connections (auto)' }),
  store: Flags.option({ options: ['memory', 'lmdb'] as const })({
    ...OWN,
    helpValue: 'memory|lmdb',
    summary: '(memory)',
  }),
  set: Flags.string({
    ...OWN,
    ...REPEATABLE,
    helpValue: 'section.key=value',
    summary: 'another setting of it; repeatable',
  }),
  window: Flags.string({ ...OWN, helpValue: 'D', summary: 'between two sweeps of a room (100ms)' }),
  clients: Flags.string({
    ...RUNNING,
    ...REPEATABLE,
    helpValue: 'URL',
    summary: 'where its clients connect, if not to the usual port: tcp://HOST:PORT, ws://HOST:PORT/sub; repeatable',
  }),
  'no-reconnect': Flags.boolean({
    ...RUNNING,
    summary: 'connections that break stay away; otherwise they come back and resume',
  }),
  yes: Flags.boolean({ ...RUNNING, summary: 'do aim at a server that is not on this machine' }),
  assert: Flags.string({
    ...RESULT,
    ...REPEATABLE,
    helpValue: 'EXPR',
    summary: "what must hold, as in 'p99<200ms'; repeatable; ! at the end ends the run when it is broken",
  }),
  html: Flags.string({ ...RESULT, helpValue: 'F', summary: 'write the report as one page' }),
  out: Flags.string({ ...RESULT, helpValue: 'F.json', summary: 'write the result for bench compare' }),
  compare: Flags.string({ ...RESULT, helpValue: 'F.json', summary: 'with an earlier result' }),
  'dry-run': Flags.boolean({ ...RESULT, summary: 'print the plan, start nothing' }),
  'best-effort': Flags.boolean({ ...RESULT, summary: 'as many connections as fit, where it is too many' }),
};
