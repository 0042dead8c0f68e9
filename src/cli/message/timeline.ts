// The life of a message as lines: one a step, with milliseconds from its acceptance, node and who; devices; nodes that did
// not answer; the verdict last.

import { formatDuration } from '../../server/units.js';

/** A step as the server shows it; fields by kind. */
export interface ShownStep {
  readonly at: number;
  readonly node: string;
  readonly step: string;
  readonly [field: string]: unknown;
}

export interface ShownDevice {
  readonly device: string;
  readonly state: string;
  readonly cursor: string;
  readonly lastSeen: string;
}

export interface ShownVerdict {
  readonly outcome: string;
  readonly reason: string | null;
  readonly detail: string;
}

/** What `GET /v1/trace` answers. */
export interface ShownTrace {
  readonly log: string;
  readonly id: string | null;
  readonly mark: string | null;
  readonly message: {
    readonly state: string;
    readonly bytes: number | null;
    readonly acceptedAt: string | null;
    readonly expiresAt: string | null;
  };
  readonly devices: readonly ShownDevice[];
  readonly steps: readonly ShownStep[];
  readonly more: number;
  readonly missing: readonly string[];
  readonly verdict: ShownVerdict;
}

/** Everything about it, the verdict last. */
export function timeline(trace: ShownTrace): readonly string[] {
  const { steps, devices, missing, more, verdict, mark } = trace;
  return [
    title(trace),
    ...(mark === null ? ['  not traced: its log and the cursors of devices are all that is known'] : stepLines(steps)),
    ...(more > 0 ? [`  … and ${more} steps that were not kept`] : []),
    ...devices.map(deviceLine),
    ...missing.map((node) => `  ▲ ${node} did not answer: what it noted is not here`),
    verdictLine(verdict),
  ];
}

/** `lost · expired · it expired before anybody took it`. */
export function verdictLine({ outcome, reason, detail }: ShownVerdict): string {
  return [outcome, ...(reason === null ? [] : [reason]), detail].join(' · ');
}

/** `device phone  acknowledged  cursor 1-42  seen 2026-…`. */
export function deviceLine({ device, state, cursor, lastSeen }: ShownDevice): string {
  const who = device === '' ? 'without a device' : `device ${device}`;
  return `  ${who}: ${state}, cursor ${cursor}, seen ${lastSeen}`;
}

function title({ log, id, mark, message }: ShownTrace): string {
  const name = `${log}@${id ?? `t-${mark}`}`;
  const facts = [
    ...(message.bytes === null ? [] : [`${message.bytes} B`]),
    ...(message.acceptedAt === null ? [] : [`accepted ${message.acceptedAt}`]),
    message.state,
    ...(message.expiresAt === null || message.state !== 'kept' ? [] : [`until ${message.expiresAt}`]),
  ];
  return `${name} · ${facts.join(' · ')}`;
}

function stepLines(steps: readonly ShownStep[]): readonly string[] {
  const start = steps[0]?.at ?? 0;
  const widest = (values: readonly string[]) => Math.max(0, ...values.map(({ length }) => length));
  const times = steps.map(({ at }) => `${at - start} ms`);
  const [time, node, name] = [
    widest(times),
    widest(steps.map((one) => one.node)),
    widest(steps.map((one) => one.step)),
  ];
  return steps.map((one, index) =>
    `  ${(times[index] ?? '').padStart(time)}  ${one.node.padEnd(node)}  ${one.step.padEnd(name)}  ${factsOf(one)}`.trimEnd(),
  );
}

function factsOf(step: ShownStep): string {
  const facts: string[] = [];
  const who = [step['session'], step['device']].filter((one) => one !== undefined).join(' ');
  if (who !== '') facts.push(who);
  const add = (field: string, text: (value: never) => string) => {
    if (step[field] !== undefined) facts.push(text(step[field] as never));
  };
  switch (step.step) {
    case 'accepted':
      add('bytes', (bytes: number) => `${bytes} B`);
      add('ttlMs', (ms: number) => (ms === 0 ? 'not stored' : `kept for ${formatDuration(ms)}`));
      add('ms', (ms: number) => `after ${short(ms)}`);
      if (step['duplicate'] === true) facts.push('its idempotency key had been used: the message is the first one');
      break;
    case 'taken':
      add('partition', (partition: number) => `partition ${partition}`);
      add('offset', (offset: number) => `offset ${offset}`);
      if (step['attempt'] !== 1) add('attempt', (attempt: number) => `attempt ${attempt}`);
      break;
    case 'applied':
      add('outcome', String);
      break;
    case 'looked_up':
      add('sessions', (count: number) => `${count} session${count === 1 ? '' : 's'}`);
      add('comets', (comets: readonly string[]) => (comets.length === 0 ? 'no comet' : `on ${some(comets)}`));
      add('expired', (count: number) => `${count} without a lease`);
      break;
    case 'notified':
      add('comet', String);
      facts.push(step['ok'] === true ? `in ${short(Number(step['ms']))}` : 'did not acknowledge: it re-reads');
      break;
    case 'arrived':
      add('sessions', (count: number) => `for ${count}`);
      break;
    case 'swept':
      for (const field of ['written', 'drained', 'held', 'gaps', 'filtered', 'left']) {
        if (step[field] !== 0 || field === 'written') facts.push(`${step[field]} ${field}`);
      }
      facts.push(`of ${step['members']}`);
      break;
    default:
      add('by', (by: string) => (by === 'client' ? 'by the client' : `by ${by}`));
      add('ms', (ms: number) => `${short(ms)} after it was written`);
      add('operation', (operation: number) => `operation ${operation}`);
      add('reason', String);
      add('after', (after: string) => `after ${after} up to ${step['upTo']}`);
      add('members', (count: number) => `${count} members`);
      if (step['redelivered'] === true) facts.push('perhaps again');
      if (step['written'] === false) facts.push('before it was written');
  }
  return facts.join(', ');
}

/** The first of many. */
function some(names: readonly string[]): string {
  return names.length <= 4 ? names.join(' ') : `${names.slice(0, 4).join(' ')} and ${names.length - 4} more`;
}

/** `0.3 ms`, `12 ms`. */
function short(ms: number): string {
  return ms < 10 ? `${Math.round(ms * 10) / 10} ms` : `${Math.round(ms)} ms`;
}
