// The account of a run, computed from the raw journals alone (nothing from src): what was accepted, and for each receiver
// what of it arrived, was covered by a gap, is missing, came twice or out of order.
import type { PusherLine, ReceiverLine } from './journal.js';
import { compareIds } from './wire.js';

/** Who should have received what. */
export interface ReceiverPlan {
  /** The name in the journal. */
  readonly who: string;
  readonly user: string;
  readonly native: boolean;
  /** Rooms whose messages it must have from its join on (native). */
  readonly rooms: readonly string[];
}

/** Of native clients, from where they joined for the first time. */
interface TopicAccount {
  expected: number;
  delivered: number;
  gapped: number;
  lost: number;
  /** Came again in a later connection, told as such or not. */
  flaggedDuplicates: number;
  unflaggedDuplicates: number;
  outOfOrder: number;
  foreign: number;
}

/** Whom to look at when a promise broke. */
export interface Suspect {
  readonly who: string;
  /** `user:1`, `room:r`, `all`. */
  readonly log: string;
  readonly id: string | undefined;
}

export interface Account {
  /** Accepted pushes by target kind; `ephemeral`: of whatever kind, kept by nobody. */
  accepted: { user: number; room: number; all: number; ephemeral: number };
  refused: number;
  unknown: number;
  native: {
    receivers: number;
    expected: number;
    delivered: number;
    gapped: number;
    lost: number;
    flaggedDuplicates: number;
    unflaggedDuplicates: number;
    outOfOrder: number;
    wrongPayload: number;
    foreign: number;
  };
  rooms: TopicAccount;
  broadcasts: TopicAccount;
  legacy: {
    receivers: number;
    expected: number;
    delivered: number;
    lost: number;
    /** Of the lost ones: between two others that came over one connection, so no break explains it. */
    lostWhileConnected: number;
    duplicates: number;
    outOfOrder: number;
    foreign: number;
  };
  /** Pushes with a ttl of 0, at native receivers. */
  ephemeral: { delivered: number; repeated: number; foreign: number };
  /** Ids that stood for two payloads. */
  idsReused: number;
  /** Payloads pushed once (with a key, however often it was asked again) that one receiver got under two ids. */
  pushedOnceStoredTwice: number;
  /** The first few offenders, for people. */
  examples: string[];
  suspects: Suspect[];
}

type Push = Extract<ReceiverLine, { ev: 'push' }>;
type Gap = Extract<ReceiverLine, { ev: 'gap' }>;

export function account(
  pushes: readonly PusherLine[],
  lines: readonly ReceiverLine[],
  receivers: readonly ReceiverPlan[],
): Account {
  const result: Account = {
    accepted: { user: 0, room: 0, all: 0, ephemeral: 0 },
    refused: 0,
    unknown: 0,
    native: {
      receivers: 0,
      expected: 0,
      delivered: 0,
      gapped: 0,
      lost: 0,
      flaggedDuplicates: 0,
      unflaggedDuplicates: 0,
      outOfOrder: 0,
      wrongPayload: 0,
      foreign: 0,
    },
    rooms: topicAccount(),
    broadcasts: topicAccount(),
    legacy: {
      receivers: 0,
      expected: 0,
      delivered: 0,
      lost: 0,
      lostWhileConnected: 0,
      duplicates: 0,
      outOfOrder: 0,
      foreign: 0,
    },
    ephemeral: { delivered: 0, repeated: 0, foreign: 0 },
    idsReused: 0,
    pushedOnceStoredTwice: 0,
    examples: [],
    suspects: [],
  };
  const note = (text: string, suspect?: Suspect): void => {
    if (result.examples.length >= 20) return;
    result.examples.push(text);
    if (suspect !== undefined) result.suspects.push(suspect);
  };
  /** What some runs allow: shown where there is room. */
  const asides: string[] = [];

  /** By log: accepted id -> hash; and every hash that may legitimately arrive there. */
  const accepted = new Map<string, Map<string, string>>();
  const possible = new Map<string, Set<string>>();
  /** Accepted by an API that tells no id (the legacy ones): known by their payload. */
  const unnamed = new Map<string, Set<string>>();
  for (const push of pushes) {
    if (push.outcome === 'refused') {
      result.refused++;
      continue;
    }
    group(possible, push.to, () => new Set<string>()).add(push.hash);
    if (push.outcome === 'unknown') {
      result.unknown++;
      continue;
    }
    if (push.ephemeral === true) {
      result.accepted.ephemeral++;
      continue;
    }
    const kind = push.to === 'all' ? 'all' : push.to.startsWith('room:') ? 'room' : 'user';
    result.accepted[kind]++;
    if (push.id === undefined) {
      group(unnamed, push.to, () => new Set<string>()).add(push.hash);
      continue;
    }
    const ids = group(accepted, push.to, () => new Map<string, string>());
    const before = ids.get(push.id);
    if (before !== undefined && before !== push.hash) {
      result.idsReused++;
      note(`${push.to}@${push.id} was given to two payloads`);
    }
    ids.set(push.id, push.hash);
  }

  const byWho = new Map<string, ReceiverLine[]>();
  for (const line of lines) group(byWho, line.who, () => []).push(line);

  for (const receiver of receivers) {
    const mine = byWho.get(receiver.who) ?? [];
    if (receiver.native) judgeNative(receiver, mine);
    else judgeLegacy(receiver, mine);
  }
  for (const text of asides.slice(0, 20)) note(text);
  return result;

  function judgeNative(receiver: ReceiverPlan, mine: readonly ReceiverLine[]): void {
    const { native } = result;
    native.receivers++;
    const target = `user:${receiver.user}`;
    const seen = new Map<string, string>();
    const idOf = new Map<string, string>();
    const lastInConnection = new Map<number, string>();
    let highest: string | undefined;
    const suspect = (id: string): Suspect => ({ who: receiver.who, log: target, id });
    const logs = new Set(['', 'all', ...receiver.rooms.map((room) => `room:${room}`)]);
    for (const push of mine) {
      if (push.ev !== 'push' || push.log === undefined || logs.has(push.log)) continue;
      native.foreign++;
      note(`${receiver.who}: ${push.log}@${push.id}, of which it is no reader`, suspect(push.id ?? ''));
    }
    judgeEphemeral(receiver, mine);
    for (const push of mine) {
      if (push.ev !== 'push' || push.log !== '' || push.id === undefined || push.id === '0-0') continue;
      const { id, hash } = push;
      const before = lastInConnection.get(push.c);
      if (before !== undefined && compareIds(id, before) <= 0) {
        native.outOfOrder++;
        note(`${receiver.who}: ${id} after ${before} in one connection`, suspect(id));
      }
      lastInConnection.set(push.c, id);
      if (seen.has(id)) {
        if (((push.flags ?? 0) & 1) === 0) {
          native.unflaggedDuplicates++;
          note(`${receiver.who}: ${id} again, unflagged`, suspect(id));
        } else native.flaggedDuplicates++;
      } else if (highest !== undefined && compareIds(id, highest) < 0) {
        native.outOfOrder++;
        note(`${receiver.who}: first delivery of ${id} after ${highest}`, suspect(id));
      }
      if (highest === undefined || compareIds(id, highest) > 0) highest = id;
      seen.set(id, hash);
      if ((idOf.get(hash) ?? id) !== id) {
        result.pushedOnceStoredTwice++;
        note(`${receiver.who}: message ${push.no} came as ${idOf.get(hash)} and as ${id}`, suspect(id));
      }
      idOf.set(hash, id);
      if (possible.get(target)?.has(hash) !== true) {
        native.foreign++;
        note(`${receiver.who}: ${id} was not pushed to ${target}`, suspect(id));
      }
    }
    const gaps = mine.filter((line): line is Gap => line.ev === 'gap' && line.log === '');
    for (const [id, hash] of accepted.get(target) ?? []) {
      native.expected++;
      const got = seen.get(id);
      if (got !== undefined) {
        native.delivered++;
        if (got !== hash) {
          native.wrongPayload++;
          note(`${receiver.who}: ${id} arrived with another payload`, suspect(id));
        }
      } else if (covered(gaps, id)) native.gapped++;
      else {
        native.lost++;
        note(`${receiver.who}: ${target}@${id} is missing`, suspect(id));
      }
    }
    for (const hash of unnamed.get(target) ?? []) {
      native.expected++;
      if (idOf.has(hash)) native.delivered++;
      else if (gaps.length > 0) native.gapped++;
      else {
        native.lost++;
        note(`${receiver.who}: a message of a legacy API to ${target} is missing`);
      }
    }
    for (const room of receiver.rooms) judgeTopic(result.rooms, receiver.who, `room:${room}`, mine);
    judgeTopic(result.broadcasts, receiver.who, 'all', mine);
  }

  function judgeTopic(topic: TopicAccount, who: string, log: string, mine: readonly ReceiverLine[]): void {
    const joined = mine.find((line) => line.ev === 'joined' && line.log === log);
    if (joined === undefined || joined.ev !== 'joined') return;
    const pushed = mine.filter((line): line is Push => line.ev === 'push' && line.log === log);
    topic.outOfOrder += disorder(who, pushed);
    const seen = new Set<string | undefined>();
    for (const { id, hash, flags = 0, no } of pushed) {
      if (id === '0-0') continue;
      if (seen.has(id)) {
        if ((flags & 1) === 0) {
          topic.unflaggedDuplicates++;
          note(`${who}: ${log}@${id} again, unflagged`, { who, log, id });
        } else topic.flaggedDuplicates++;
      }
      seen.add(id);
      if (possible.get(log)?.has(hash) === true) continue;
      topic.foreign++;
      note(`${who}: message ${no} was not pushed to ${log}`, { who, log, id });
    }
    const gaps = mine.filter((line): line is Gap => line.ev === 'gap' && line.log === log);
    for (const id of accepted.get(log)?.keys() ?? []) {
      if (compareIds(id, joined.head) <= 0) continue;
      topic.expected++;
      if (seen.has(id)) topic.delivered++;
      else if (covered(gaps, id)) topic.gapped++;
      else {
        topic.lost++;
        note(`${who}: ${log}@${id} is missing`, { who, log, id });
      }
    }
  }

  /** Whoever gets one must be meant; nobody must get one. */
  function judgeEphemeral(receiver: ReceiverPlan, mine: readonly ReceiverLine[]): void {
    const seen = new Set<string>();
    for (const line of mine) {
      if (line.ev !== 'push' || line.id !== '0-0') continue;
      const log = line.log === '' ? `user:${receiver.user}` : (line.log ?? '');
      result.ephemeral.delivered++;
      if (seen.has(line.hash)) result.ephemeral.repeated++;
      seen.add(line.hash);
      if (possible.get(log)?.has(line.hash) === true) continue;
      result.ephemeral.foreign++;
      note(`${receiver.who}: message ${line.no}, ephemeral, was not for ${log}`, {
        who: receiver.who,
        log,
        id: undefined,
      });
    }
  }

  function disorder(who: string, pushed: readonly Push[]): number {
    let count = 0;
    const last = new Map<number, string>();
    for (const push of pushed) {
      if (push.id === undefined || push.id === '0-0') continue;
      const before = last.get(push.c);
      if (before !== undefined && compareIds(push.id, before) <= 0) {
        count++;
        note(`${who}: ${push.log}@${push.id} after ${before}`);
      }
      last.set(push.c, push.id);
    }
    return count;
  }

  function judgeLegacy(receiver: ReceiverPlan, mine: readonly ReceiverLine[]): void {
    const { legacy } = result;
    legacy.receivers++;
    const target = `user:${receiver.user}`;
    const elsewhere = [...receiver.rooms.map((room) => `room:${room}`), 'all'];
    const ids = new Map([...(accepted.get(target) ?? [])].map(([id, hash]) => [hash, id]));
    const counts = new Map<string, number>();
    /** First deliveries, by id. */
    const came: { readonly id: string; readonly c: number }[] = [];
    const last = new Map<number, string>();
    for (const line of mine) {
      if (line.ev !== 'push') continue;
      const { hash, no, c } = line;
      if (possible.get(target)?.has(hash) !== true) {
        if (elsewhere.some((log) => possible.get(log)?.has(hash) === true)) continue;
        legacy.foreign++;
        note(`${receiver.who}: message ${no} was not for ${target}`, { who: receiver.who, log: target, id: undefined });
        continue;
      }
      const count = counts.get(hash) ?? 0;
      counts.set(hash, count + 1);
      const id = ids.get(hash);
      if (id === undefined) continue;
      const before = last.get(c);
      if (before !== undefined && compareIds(id, before) <= 0) {
        legacy.outOfOrder++;
        note(`${receiver.who}: ${id} after ${before} in one connection`, { who: receiver.who, log: target, id });
      }
      last.set(c, id);
      if (count === 0) came.push({ id, c });
    }
    came.sort((a, b) => compareIds(a.id, b.id));
    for (const hash of [...(accepted.get(target)?.values() ?? []), ...(unnamed.get(target) ?? [])]) {
      legacy.expected++;
      const count = counts.get(hash) ?? 0;
      legacy.duplicates += Math.max(0, count - 1);
      if (count > 0) {
        legacy.delivered++;
        continue;
      }
      legacy.lost++;
      const id = ids.get(hash);
      const next = id === undefined ? -1 : came.findIndex((one) => compareIds(one.id, id) > 0);
      const connected = next > 0 && came[next]?.c === came[next - 1]?.c;
      if (connected) legacy.lostWhileConnected++;
      const text = `${receiver.who}: a message to ${target} is missing (legacy, hash ${hash})`;
      if (connected) note(`${text} within a connection`, { who: receiver.who, log: target, id });
      else asides.push(text);
    }
  }
}

function topicAccount(): TopicAccount {
  return {
    expected: 0,
    delivered: 0,
    gapped: 0,
    lost: 0,
    flaggedDuplicates: 0,
    unflaggedDuplicates: 0,
    outOfOrder: 0,
    foreign: 0,
  };
}

/** What has not arrived where it was owed; or not yet. */
export function missing({ native, rooms, broadcasts, legacy }: Account): number {
  return native.lost + rooms.lost + broadcasts.lost + legacy.lost;
}

function covered(gaps: readonly Gap[], id: string): boolean {
  return gaps.some((gap) => compareIds(gap.after, id) < 0 && compareIds(id, gap.upTo) <= 0);
}

function group<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
