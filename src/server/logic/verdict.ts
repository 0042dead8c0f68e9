/**
 * What became of a message, as one answer: an outcome, and the code of why where it is not what its sender wished. Made from
 * the steps that nodes noted, if it was traced, and from its log and its devices' cursors.
 */
import type { MessageId, ParsedLog } from '../../protocol/ids.js';
import type { NotedStep, StepName, SweptStep } from '../observe/steps.js';
import { ANONYMOUS } from '../store/buckets.js';
import { deviceState, type MessageState } from './message-state.js';

/** Why a message went nowhere, or not to all. */
export type Reason = 'no_session' | 'gap' | 'expired' | 'trimmed' | 'ephemeral' | 'filtered' | 'revoked' | 'unreadable';

/**
 * `acknowledged`: a device of its user took it. `delivered`: it was given to a session, or members. `kept`: nobody has it yet,
 * and its log does. `accepted`: no job has applied it yet. `lost`: nobody got it, and nobody will.
 */
export type Outcome = 'acknowledged' | 'delivered' | 'kept' | 'accepted' | 'lost';

export interface Verdict {
  readonly outcome: Outcome;
  /** Of what went wrong for all, or for those that `reasons` names. */
  readonly reason: Reason | null;
  readonly detail: string;
  readonly reasons: readonly { readonly code: Reason; readonly session?: string; readonly count?: number }[];
}

/** What is known. */
export interface Evidence {
  readonly log: ParsedLog;
  /** undefined: ephemeral. */
  readonly id: MessageId | undefined;
  /** In order of time; empty: it was not traced. */
  readonly steps: readonly (NotedStep & { readonly node: string })[];
  /** undefined: ephemeral. */
  readonly state: MessageState | undefined;
  /** Of the user; undefined where nobody needs to know. */
  readonly tokens: 'good' | 'revoked' | 'none' | undefined;
}

type Step<N extends StepName> = Extract<Evidence['steps'][number], { readonly step: N }>;
type Reasons = Verdict['reasons'];

const REVOKED: ReadonlySet<string> = new Set(['token_revoked', 'token_refused']);

export function verdictOf(evidence: Evidence): Verdict {
  const applied = of(evidence, 'applied');
  const bad = applied.find(({ outcome }) => outcome === 'poison');
  if (bad !== undefined) return say('lost', 'unreadable', 'the store cannot keep it: it is among the dead letters');
  if (evidence.id !== undefined && applied.length === 0 && evidence.state?.where.kind === 'ahead') {
    return say('accepted', null, 'it waits for a job');
  }
  return evidence.log.kind === 'user' ? ofUser(evidence) : ofMembers(evidence);
}

function ofUser(evidence: Evidence): Verdict {
  const { id, state } = evidence;
  const taken = distinct(of(evidence, 'acknowledged'));
  const written = distinct(of(evidence, 'written'));
  const filtered = distinct(of(evidence, 'filtered'));
  const closed = of(evidence, 'closed');
  const reasons: Reasons = [
    ...filtered.map((session) => ({ code: 'filtered' as const, session })),
    ...of(evidence, 'gap').map(({ session = '' }) => ({ code: 'gap' as const, session })),
    ...closed.filter(({ reason }) => REVOKED.has(reason)).map(({ session }) => ({ code: 'revoked' as const, session })),
  ];
  if (taken.length > 0) return say('acknowledged', null, `taken by ${count(taken.length, 'session')}`, reasons);
  if (id === undefined) return ofEphemeral(evidence, written.length, filtered.length, reasons);
  const ended = new Set(closed.map(({ session }) => session));
  const open = written.filter((session) => !ended.has(session));
  if (open.length > 0) {
    return say('delivered', null, `given to ${count(open.length, 'session')}; not acknowledged yet`, reasons);
  }
  if (filtered.length > 0 && written.length === 0) {
    return say('lost', 'filtered', 'no session takes its operation; it counts as sent', reasons);
  }
  return fromLog(evidence, id, state, reasons);
}

/** Nothing of a live session tells. */
function fromLog(
  { steps, tokens }: Evidence,
  id: MessageId,
  state: MessageState | undefined,
  reasons: Reasons,
): Verdict {
  if (state === undefined) return say('kept', null, 'its log was not read', reasons);
  const { where, devices, sessions } = state;
  const gap = reasons.some(({ code }) => code === 'gap');
  const passed = devices.filter((device) => deviceState(device, id) === 'acknowledged');
  if (where.kind === 'gone' && (where.reason !== 'acknowledged' || gap)) {
    const reason = where.reason === 'acknowledged' ? 'expired' : where.reason;
    const why =
      reason === 'expired' ? 'it expired before anybody took it' : 'its log was over its bounds, and the oldest went';
    const doubt =
      where.certain || steps.length > 0
        ? ''
        : ` (or ${reason === 'expired' ? 'was trimmed' : 'expired'}: only a trace would tell)`;
    return say('lost', reason, `${why}${doubt}`, reasons);
  }
  if (passed.length > 0 && !gap) {
    const names = passed.map(({ device }) => (device === ANONYMOUS ? 'sessions without a device' : `device ${device}`));
    return say('acknowledged', null, `${names.join(', ')}: the cursor is at it or beyond`, reasons);
  }
  if (where.kind === 'gone') return say('acknowledged', null, 'all devices are beyond it', reasons);
  const sent = devices.some((device) => deviceState(device, id) === 'sent');
  const revoked = tokens === 'revoked' || (sessions.length === 0 && reasons.some(({ code }) => code === 'revoked'));
  if (sessions.length === 0 && revoked) {
    return say('kept', 'revoked', 'every token of the user was revoked: nobody can take it', reasons);
  }
  if (sessions.length === 0) {
    return say(
      'kept',
      'no_session',
      sent ? 'it was sent, not acknowledged, and nobody is online' : 'nobody is online',
      reasons,
    );
  }
  return sent
    ? say('delivered', null, 'sent; not acknowledged yet', reasons)
    : say('kept', null, `${count(sessions.length, 'session')} online; none has it yet`, reasons);
}

function ofEphemeral(evidence: Evidence, written: number, filtered: number, reasons: Reasons): Verdict {
  if (written > 0) return say('delivered', null, `given to ${count(written, 'session')}; nothing is kept`, reasons);
  if (filtered > 0) return say('lost', 'filtered', 'no session takes its operation', reasons);
  const dropped = of(evidence, 'dropped')[0]?.reason;
  const why =
    dropped === undefined
      ? 'nobody was online'
      : dropped === 'old'
        ? 'it was too old when it came'
        : 'the session could not take it then';
  return say('lost', 'ephemeral', `never stored, and ${why}`, reasons);
}

/** Of a room, or of all. */
function ofMembers(evidence: Evidence): Verdict {
  const { id, state, log } = evidence;
  const swept = [...lastByNode(of(evidence, 'swept')).values()];
  const sum = (field: 'members' | 'written' | 'held' | 'gaps' | 'filtered') =>
    swept.reduce((total, step) => total + step[field], 0);
  const [members, written, held, filtered] = [sum('members'), sum('written'), sum('held'), sum('filtered')];
  const gaps = Math.max(
    sum('gaps'),
    of(evidence, 'gap').reduce((total, step) => total + (step.members ?? 1), 0),
  );
  const reasons: Reasons = [
    ...(gaps > 0 ? [{ code: 'gap' as const, count: gaps }] : []),
    ...(filtered > 0 ? [{ code: 'filtered' as const, count: filtered }] : []),
  ];
  const rest = [
    ...(gaps > 0 ? [`${gaps} got a gap`] : []),
    ...(held > 0 ? [`${held} could not take it yet`] : []),
    ...(filtered > 0 ? [`${filtered} do not take its operation`] : []),
  ];
  if (written > 0) {
    const detail = `given to ${written} of ${count(members, 'member')}${rest.length > 0 ? `; ${rest.join(', ')}` : ''}`;
    return say('delivered', reasons[0]?.code ?? null, detail, reasons);
  }
  if (gaps > 0) return say('lost', 'gap', 'whoever was there was too slow, and was told a gap', reasons);
  if (filtered > 0 && held === 0) return say('lost', 'filtered', 'no member takes its operation', reasons);
  if (held > 0) return say('kept', null, rest.join(', '), reasons);
  const who = log.kind === 'room' ? 'nobody was in the room' : 'nobody was connected';
  if (id === undefined) {
    const dropped = of(evidence, 'arrived').some(({ sessions }) => sessions > 0);
    return say(
      'lost',
      'ephemeral',
      `never stored, and ${dropped ? 'the members could not take it then' : who}`,
      reasons,
    );
  }
  const traced = evidence.steps.length > 0;
  if (state?.where.kind === 'gone') {
    const reason = state.where.reason === 'trimmed' ? 'trimmed' : 'expired';
    const nobody = traced ? `${who}, and ` : '';
    return say(
      'lost',
      reason,
      `${nobody}${reason === 'expired' ? 'it expired' : 'the log was over its bounds'}`,
      reasons,
    );
  }
  if (!traced) return say('kept', null, 'it was not traced: who got it is not known');
  const arrived = of(evidence, 'arrived').some(({ sessions }) => sessions > 0);
  return arrived ? say('kept', null, 'it is under way to the members') : say('kept', 'no_session', who);
}

function of<N extends StepName>({ steps }: Evidence, name: N): readonly Step<N>[] {
  return steps.filter((one): one is Step<N> => one.step === name);
}

function distinct(steps: readonly { readonly session: string }[]): readonly string[] {
  return [...new Set(steps.map(({ session }) => session))];
}

function lastByNode(steps: readonly (SweptStep & { readonly node: string })[]): ReadonlyMap<string, SweptStep> {
  return new Map(steps.map((step) => [step.node, step]));
}

function say(outcome: Outcome, reason: Reason | null, detail: string, reasons: Reasons = []): Verdict {
  const all =
    reason !== null && !reasons.some(({ code }) => code === reason) ? [{ code: reason }, ...reasons] : reasons;
  return { outcome, reason, detail, reasons: all };
}

function count(n: number, what: string): string {
  return `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;
}
