/**
 * `imgo doctor`: looks at this machine, and at what the configuration names outside of it, and says of each what is there, what
 * is needed, what to do. It changes nothing: settings of the system come as lines to paste, those alone that are not right yet.
 * The exit status is 0 where all is good, 1 where something works and not well, 5 where something does not work.
 */
import { lookAtMachine } from '../../bench/machine.js';
import { type ReadText, readHere } from '../../bench/read-text.js';
import { Exit } from '../../protocol/error-row.js';
import type { Seen } from '../../server/assemble/look.js';
import type { Config } from '../../server/config.js';
import type { LoadedConfig } from '../../server/config-load.js';
import type { Output } from '../output.js';
import { isColoured, localise, paint } from '../style.js';
import { type Finding, many, type State } from './finding.js';
import { clock, data, node, ports } from './here.js';
import { kernelFindings } from './kernel.js';
import { type Target, targetOf } from './target.js';

const SIGNS: Readonly<Record<State, string>> = { ok: '✓', warning: '▲', error: '✖' };
const SYSCTL_FILE = '/etc/sysctl.d/90-imgo.conf';

/** All that was found. */
export interface Examination {
  readonly target: Target | undefined;
  readonly findings: readonly Finding[];
}

/** Looks. `asked`: connections to judge for. */
export async function examine(
  loaded: Pick<LoadedConfig, 'config' | 'settings'>,
  asked: number | undefined,
  read: ReadText = readHere,
): Promise<Examination> {
  const machine = lookAtMachine(read);
  const { config } = loaded;
  const target = targetOf(loaded, machine, asked);
  const outside = await lookOutside(config);
  const [redis] = outside.flatMap(({ seen }) => (seen.skewMs === undefined ? [] : [seen]));
  // Its clock less ours: a positive one has ours behind it.
  const skew = redis?.skewMs === undefined ? undefined : { ms: -redis.skewMs, of: `that of Redis at ${redis.address}` };
  return {
    target,
    findings: [
      node(process.version),
      ...kernelFindings(machine, read, target),
      ...(await data(config)),
      ...(await ports(config)),
      await clock(skew),
      ...outside.map(({ name, seen }) => reached(name, seen)),
    ],
  };
}

/** Prints what was found, and sets the exit status. */
export async function report({ target, findings }: Examination, output: Output): Promise<void> {
  const worst: State =
    (['error', 'warning'] as const).find((state) => findings.some((one) => one.state === state)) ?? 'ok';
  process.exitCode = { ok: Exit.OK, warning: Exit.RUNTIME, error: Exit.IMPOSSIBLE }[worst];
  const sysctl = findings.flatMap((one) => one.sysctl ?? []);
  const unit = findings.flatMap((one) => one.unit ?? []);
  if (output.json) {
    const { connections = null, workers = null } = target ?? {};
    return output.object({ state: worst, target: connections, workers, checks: findings, sysctl, unit });
  }
  const coloured = isColoured(process.stdout);
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const one of findings) {
    const colour = one.state === 'error' ? 'red' : one.state === 'warning' ? 'yellow' : 'dim';
    await output.line(
      `${paint(colour, localise(SIGNS[one.state]), coloured)} ${one.name.padEnd(width)}  ${localise(one.found)}`,
    );
    if (one.needed !== undefined) await output.line(`  ${''.padEnd(width)}  needed: ${localise(one.needed)}`);
    for (const step of one.advice ?? []) await output.line(`  ${''.padEnd(width)}  ${localise(`→ ${step}`)}`);
  }
  if (sysctl.length > 0) await block(output, `${SYSCTL_FILE}, then sysctl --system:`, sysctl);
  if (unit.length > 0) {
    await block(output, 'systemctl edit imgo, then systemctl restart imgo:', ['[Service]', ...unit]);
  }
  output.note(`\n${summary(worst, target, findings)}`);
  if (target !== undefined && !target.fixed && target.workers > 1) {
    output.note(`→ imgo serve --workers auto --max-conns ${target.connections}`);
  }
}

async function block(output: Output, title: string, lines: readonly string[]): Promise<void> {
  await output.line(`\n# ${title}`);
  for (const line of lines) await output.line(line);
}

function summary(worst: State, target: Target | undefined, findings: readonly Finding[]): string {
  const count = (state: State) => findings.filter((one) => one.state === state).length;
  const what =
    target === undefined
      ? 'This machine'
      : `${many(target.connections)} connections in ${target.workers === 1 ? 'one process' : `${many(target.workers)} processes`}`;
  if (worst === 'ok') return target === undefined ? `${what} is fit.` : `${what}: this machine holds them.`;
  const [errors, warnings] = [count('error'), count('warning')];
  const parts = [
    ...(errors > 0 ? [`${errors} to be put right`] : []),
    ...(warnings > 0 ? [`${warnings} to look at`] : []),
  ];
  return `${what}: ${parts.join(', ')}.`;
}

async function lookOutside(config: Config): Promise<readonly { readonly name: string; readonly seen: Seen }[]> {
  const { redis, kafka } = config;
  if (redis === undefined && kafka === undefined) return [];
  const { lookAtKafka, lookAtRedis } = await import('../../server/assemble/look.js');
  const [first, second] = await Promise.all([
    redis === undefined ? undefined : lookAtRedis(redis),
    kafka === undefined ? undefined : lookAtKafka(kafka),
  ]);
  return [
    ...(first === undefined ? [] : [{ name: 'redis', seen: first }]),
    ...(second === undefined ? [] : [{ name: 'kafka', seen: second }]),
  ];
}

function reached(name: string, { address, says, warnings, failure }: Seen): Finding {
  if (failure !== undefined) {
    const { message, reason, advice } = failure;
    const found = reason === undefined ? message : `${message} ${reason}`;
    return { name, state: 'error', found, needed: 'roles apart work with it', advice };
  }
  const found = `${address} ${says}`;
  const [first, ...others] = warnings;
  if (first === undefined) return { name, state: 'ok', found };
  return { name, state: 'warning', found, needed: first, advice: others };
}
