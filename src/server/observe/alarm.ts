/**
 * Which alerts hold: the table judged moment by moment, with what makes an alert calm: it is said when its figure has been too
 * high for as long as its row wants, and taken back only at the lower one. Counts are judged by how much they grew.
 */
import { ALERT_CODES, type AlertCode, type AlertRow, alertRow } from './alerts.js';
import type { AlertThresholds, Facts, Increase, Severity } from './facts.js';

/** An alert that holds. */
export interface Alert {
  readonly code: AlertCode;
  readonly severity: Severity;
  /** A node, a log; '' is the whole server. */
  readonly subject: string;
  readonly message: string;
  readonly knob: string;
  readonly advice: readonly string[];
  /** Since when, wall ms. */
  readonly since: number;
}

/** How many subjects an alert holds for. */
export interface AlertCount {
  readonly code: AlertCode;
  readonly severity: Severity;
  readonly count: number;
}

interface Held {
  /** Since when it is too high, monotonic ms. */
  readonly from: number;
  /** Since when, wall ms. */
  readonly at: number;
  raised: boolean;
}

/** What has grown within this time counts. */
const GROWN_MS = 60_000;
/** Counts that are remembered: of nodes, by reason. */
const MOST_COUNTS = 100_000;
const WORST: Readonly<Record<Severity, number>> = { error: 0, warning: 1, note: 2 };

export class Alarm {
  readonly #thresholds: () => AlertThresholds;
  readonly #held = new Map<string, Held>();
  readonly #counts = new Map<string, { last: number; grown: number; grownAt: number; askedAt: number }>();
  /** Whose counts are known, and since when. */
  readonly #subjects = new Map<string, number>();
  #alerts: readonly Alert[] = [];

  /** `thresholds`: asked for with each judgement, so that they may change. */
  constructor(thresholds: () => AlertThresholds) {
    this.#thresholds = thresholds;
  }

  /** What held at the last judgement, the worst first. */
  get alerts(): readonly Alert[] {
    return this.#alerts;
  }

  /** How many subjects each alert of the table holds for; 0 where it does not: a metric with bounded labels. */
  counts(): readonly AlertCount[] {
    const counts = new Map<string, { code: AlertCode; severity: Severity; count: number }>();
    const of = (code: AlertCode, severity: Severity) => {
      const key = `${code} ${severity}`;
      const known = counts.get(key) ?? { code, severity, count: 0 };
      counts.set(key, known);
      return known;
    };
    for (const code of ALERT_CODES) of(code, alertRow(code).severity);
    for (const { code, severity } of this.#alerts) of(code, severity).count++;
    return [...counts.values()];
  }

  judge(facts: Facts): readonly Alert[] {
    const thresholds = this.#thresholds();
    const found: Alert[] = [];
    const seen = new Set<string>();
    const increase = this.#increase(facts.now);
    for (const code of ALERT_CODES) {
      const row = alertRow(code);
      for (const { subject, value, message, severity = row.severity } of row.measure(facts, increase)) {
        const key = `${code} ${subject}`;
        const held = this.#judge(key, row, value, facts, thresholds);
        if (held === undefined) continue;
        seen.add(key);
        if (!held.raised) continue;
        const { knob, advice } = row;
        found.push({ code, severity, subject, message, knob, advice, since: held.at });
      }
    }
    for (const key of this.#held.keys()) if (!seen.has(key)) this.#held.delete(key);
    this.#forget(facts.now);
    this.#alerts = found.sort((a, b) => WORST[a.severity] - WORST[b.severity] || a.since - b.since);
    return this.#alerts;
  }

  #judge(key: string, row: AlertRow, value: number, facts: Facts, thresholds: AlertThresholds): Held | undefined {
    const known = this.#held.get(key);
    const bound = known?.raised === true ? row.clear(thresholds) : row.raise(thresholds);
    if (value < bound) return undefined;
    const held = known ?? { from: facts.now, at: facts.at, raised: false };
    if (known === undefined) this.#held.set(key, held);
    held.raised ||= facts.now - held.from >= (row.forMs ?? 0);
    return held;
  }

  #increase(now: number): Increase {
    return (subject, name, count) => {
      const key = `${subject} ${name}`;
      const since = this.#subjects.get(subject) ?? now;
      if (since === now) this.#subjects.set(subject, now);
      let known = this.#counts.get(key);
      if (known === undefined) {
        // What was counted before this logic looked is no news; a count that was not there has grown from 0.
        known = { last: since === now ? count : 0, grown: 0, grownAt: Number.NEGATIVE_INFINITY, askedAt: now };
        this.#counts.set(key, known);
      }
      // A process that was started anew counts from 0.
      const by = count >= known.last ? count - known.last : count;
      if (now - known.grownAt > GROWN_MS) known.grown = 0;
      known.last = count;
      known.askedAt = now;
      if (by > 0) {
        known.grown += by;
        known.grownAt = now;
      }
      return known.grown;
    };
  }

  /** Nodes that are gone for good, and more than a server should ever count. */
  #forget(now: number): void {
    for (const [key, { askedAt }] of this.#counts) {
      if (this.#counts.size > MOST_COUNTS || now - askedAt > 10 * GROWN_MS) this.#counts.delete(key);
    }
    if (this.#subjects.size > MOST_COUNTS) this.#subjects.clear();
  }
}
