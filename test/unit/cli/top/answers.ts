// Answers of a made-up server, built as a server builds them from what its nodes say.

import type { Known, Question } from '../../../../src/cli/top/feed.js';
import { Track } from '../../../../src/cli/top/moment.js';
import type { Source } from '../../../../src/cli/top/view.js';
import type { LogName, SessionId, UserId } from '../../../../src/protocol/ids.js';
import { type TopAnswer, type TopQuery, topAnswer } from '../../../../src/server/logic/top.js';
import { Alarm } from '../../../../src/server/observe/alarm.js';
import { alertDefaults, type Facts } from '../../../../src/server/observe/facts.js';
import type { CometStats, SlowSession } from '../../../../src/server/rpc/services.js';
import { comet, facts, node, topic } from '../../observe/facts.js';

export function queryOf(path = '/v1/top'): TopQuery {
  const asked = new URL(path, 'http://server').searchParams;
  return {
    table: (asked.get('table') ?? 'nodes') as TopQuery['table'],
    from: Number(asked.get('from') ?? 0),
    limit: Number(asked.get('limit') ?? 20),
    beside: Number(asked.get('beside') ?? 5),
    nodesBy: (asked.get('nodes_by') ?? 'conns') as TopQuery['nodesBy'],
    roomsBy: (asked.get('rooms_by') ?? 'members') as TopQuery['roomsBy'],
    sessionsBy: (asked.get('sessions_by') ?? 'gap') as TopQuery['sessionsBy'],
    search: asked.get('search') ?? undefined,
    node: asked.get('node') ?? undefined,
    room: asked.get('room') ?? undefined,
  };
}

/** `alarm`: judged before, so that alerts that take their time are there. */
export function answerOf(moment: Facts, query: TopQuery = queryOf(), alarm?: Alarm): TopAnswer {
  const judge = alarm ?? new Alarm(() => alertDefaults);
  judge.judge(moment);
  const counted: Record<string, number> = {};
  const reasons: Record<string, number> = {};
  for (const { comet } of moment.nodes) {
    for (const [name, count] of Object.entries(comet?.counters ?? {})) counted[name] = (counted[name] ?? 0) + count;
    for (const [name, count] of Object.entries(comet?.reasons ?? {})) reasons[name] = (reasons[name] ?? 0) + count;
  }
  return topAnswer(query, {
    facts: moment,
    alerts: judge.alerts,
    development: true,
    counted,
    pushed: { accepted: 40, refused: 0 },
    job: { appended: 40 },
    reasons,
    perSecond: () => ({}),
  });
}

export function slow(user: number, more: Partial<SlowSession> = {}): SlowSession {
  return {
    session: `s_${String(user).padStart(16, '0')}` as SessionId,
    user: String(user) as UserId,
    dialect: 'imgo',
    transport: 'ws',
    since: 1,
    log: 'room:live' as LogName,
    cursor: { epoch: 1, n: 40 },
    head: { epoch: 1, n: 90 },
    lagBytes: user * 1_000,
    heldMs: user * 100,
    gapInMs: user * 600,
    ...more,
  };
}

/** A server with so many nodes, each with two slow sessions and two rooms. `seconds`: for how long it counts already. */
export function cluster(nodes: number, seconds = 0, more: Partial<CometStats> = {}): Facts {
  const names = Array.from({ length: nodes }, (_none, at) => `c${at + 1}`);
  return facts({
    at: 1_000_000 + seconds * 1_000,
    now: seconds * 1_000,
    nodes: names.map((name, at) => {
      const counters = { ...comet(name).counters, topics_deliveries: 36_000 * seconds, flushes: 9_000 * seconds };
      return node(name, {
        comet: comet(name, {
          connections: 1_000 + at,
          counters,
          topics: [
            topic({ messages: 40 * seconds, deliveries: 36_000 * seconds }),
            topic({ log: `room:${name}` as LogName }),
          ],
          slowest: [slow(2 * at + 1), slow(2 * at + 2)],
          ...more,
        }),
      });
    }),
  });
}

/** A feed that a test feeds: each question is answered by the facts of the moment. */
export class MadeUp implements Source {
  facts: Facts;
  readonly asked: string[] = [];
  #known: Known = {
    moment: undefined,
    answeredAt: performance.now(),
    error: undefined,
    sessions: undefined,
    query: '',
  };
  readonly #track = new Track();
  #question: () => Question = () => ({ query: '', scope: undefined });
  #changed: () => void = () => undefined;

  constructor(made: Facts) {
    this.facts = made;
  }

  get known(): Known {
    return this.#known;
  }

  start(question: () => Question, changed: () => void): void {
    this.#question = question;
    this.#changed = changed;
  }

  stop(): void {
    this.#changed = () => undefined;
  }

  now(): void {
    this.answer();
  }

  /** Answers what is asked for now. */
  answer(made = this.facts): void {
    this.facts = made;
    const { query, scope } = this.#question();
    this.asked.push(query);
    const moment = this.#track.add(answerOf(made, queryOf(query)));
    const mine = scope?.kind === 'user' || scope?.kind === 'session' ? [] : undefined;
    this.#known = { moment, answeredAt: performance.now(), error: undefined, sessions: mine, query };
    this.#changed();
  }

  /** Nothing has come for so long. */
  silence(ms: number, error: Known['error']): void {
    this.#known = { ...this.#known, answeredAt: performance.now() - ms, error };
    this.#changed();
  }
}
