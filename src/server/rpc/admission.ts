/**
 * The first words on a connection between processes, before it is a link: each side says who it is, in one line of JSON, and
 * proves in another that it knows the key for that. The proof is an HMAC over both first lines with their fresh random
 * numbers, so that nothing that was heard once opens anything, and a program that took a port learns no key. Whoever dialled
 * hears the proof first. Who is not heard out within the time, says too much, or another version, is hung up on.
 */
import { createHmac } from 'node:crypto';
import type { Socket } from 'node:net';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Role } from '../router/registry.js';
import { sameBytes } from './keys.js';
import { LINK_VERSION, OLDEST_LINK_VERSION } from './wire.js';

/** Who is at the other end; proven. */
export interface Peer {
  readonly role: Role;
  readonly node: string;
}

/** What went wrong, for the log; the other side is told the same, but not proven. */
export type Refusal = 'version' | 'role' | 'key' | 'nonsense' | 'silent' | 'lost' | 'busy' | 'node';

/** A connection that never became a link. */
export class AdmissionError extends ImgoError {
  readonly refusal: Refusal;

  /** `spoken`: the versions that the other side says it speaks, where they are why. */
  constructor(refusal: Refusal, node: string, spoken?: Versions) {
    super('link_refused', { node, why: spoken === undefined ? WHY[refusal] : noneInCommon(spoken) });
    this.refusal = refusal;
  }
}

/** From the oldest to the newest that are spoken. */
type Versions = readonly [oldest: number, newest: number];

const OURS: Versions = [OLDEST_LINK_VERSION, LINK_VERSION];

function noneInCommon(spoken: Versions): string {
  const list = ([oldest, newest]: Versions) => (oldest === newest ? `${newest}` : `${oldest} to ${newest}`);
  return `${WHY.version} (${list(spoken)}, here ${list(OURS)})`;
}

const WHY: Readonly<Record<Refusal, string>> = {
  version: 'it speaks another version of the protocol between nodes',
  role: 'that role has no business there',
  key: 'the keys of the two are of different clusters, or roles',
  nonsense: 'what it says is not the protocol between nodes',
  silent: 'it says nothing',
  lost: 'the connection broke',
  busy: 'too many dial at once',
  node: 'another node is at that address',
};

interface Words {
  readonly versions: Versions;
  readonly role: Role;
  readonly node: string;
  readonly nonce: string;
  /** Of who dials: whom it wants. */
  readonly to?: string | undefined;
}

const MAX_LINE = 1_024;
const NONCE_BYTES = 24;
const PATIENCE_MS = 5_000;
/** From saying why to hanging up. */
const LAST_WORD_MS = 500;

export interface AdmissionOptions {
  readonly socket: Socket;
  readonly clock: Clock;
  readonly self: Peer;
}

/** From the side that dials; hangs up itself where it fails. `to`: the node that must answer; undefined: any. @throws AdmissionError */
export function ask(options: AdmissionOptions & { readonly key: Uint8Array; readonly to?: string }): Promise<Peer> {
  return conversation(options, options.to ?? 'a logic', async (lines) => {
    const mine = words(options, options.to);
    lines.say(mine);
    const theirs = await lines.hear();
    const peer = wordsOf(theirs);
    if (options.to !== undefined && peer.node !== options.to) throw new Refused('node');
    const proof = proofOf(options.key, mine, theirs);
    const heard = Buffer.from(await lines.hear(), 'base64url');
    if (!sameBytes(heard, proof('answers'))) throw new Refused('key');
    lines.say(proof('dials').toString('base64url'));
    return { role: peer.role, node: peer.node };
  });
}

/** From the side that was dialled; the same. `keyFor`: what a role has to know here. @throws AdmissionError */
export function admit(
  options: AdmissionOptions & { readonly keyFor: (role: Role) => Uint8Array | undefined },
): Promise<Peer> {
  return conversation(options, 'who dialled', async (lines) => {
    const theirs = await lines.hear();
    const peer = wordsOf(theirs);
    if (peer.to !== undefined && peer.to !== options.self.node) throw new Refused('node');
    const key = options.keyFor(peer.role);
    if (key === undefined) throw new Refused('role');
    const mine = words(options, undefined);
    const proof = proofOf(key, theirs, mine);
    lines.say(mine);
    lines.say(proof('answers').toString('base64url'));
    const heard = Buffer.from(await lines.hear(), 'base64url');
    if (!sameBytes(heard, proof('dials'))) throw new Refused('key');
    return { role: peer.role, node: peer.node };
  });
}

class Refused extends Error {
  readonly refusal: Refusal;
  readonly spoken: Versions | undefined;

  constructor(refusal: Refusal, spoken?: Versions) {
    super(refusal);
    this.refusal = refusal;
    this.spoken = spoken;
  }
}

function words({ self, clock }: AdmissionOptions, to: string | undefined): string {
  const nonce = Buffer.from(clock.randomBytes(NONCE_BYTES)).toString('base64url');
  const said: Words = { versions: OURS, ...self, nonce, to };
  return JSON.stringify(said);
}

function wordsOf(line: string): Words {
  let said: Partial<Record<keyof Words | 'refused', unknown>>;
  try {
    said = JSON.parse(line) as typeof said;
  } catch {
    throw new Refused('nonsense');
  }
  if (typeof said.refused === 'string') {
    const refusal = Object.hasOwn(WHY, said.refused) ? (said.refused as Refusal) : 'nonsense';
    // Versions before said none with it.
    throw new Refused(refusal, refusal === 'version' ? versionsOf(said.versions) : undefined);
  }
  const { role, node, nonce, to } = said;
  const versions = versionsOf(said.versions);
  if (versions === undefined || typeof node !== 'string' || typeof nonce !== 'string') throw new Refused('nonsense');
  if (to !== undefined && typeof to !== 'string') throw new Refused('nonsense');
  if (role !== 'comet' && role !== 'logic' && role !== 'job') throw new Refused('role');
  const [oldest, newest] = versions;
  // The lower one of the two newest is spoken, if both sides still can.
  const spoken = Math.min(newest, LINK_VERSION);
  if (!(spoken >= OLDEST_LINK_VERSION && spoken >= oldest)) throw new Refused('version', versions);
  return { versions, role, node, nonce, to };
}

function versionsOf(said: unknown): Versions | undefined {
  if (!Array.isArray(said)) return undefined;
  const [oldest, newest] = said as readonly unknown[];
  return Number.isInteger(oldest) && Number.isInteger(newest) ? [oldest as number, newest as number] : undefined;
}

function proofOf(key: Uint8Array, dialled: string, answered: string): (side: 'dials' | 'answers') => Buffer {
  return (side) => createHmac('sha256', key).update(`imgo link\n${side}\n${dialled}\n${answered}\n`).digest();
}

interface Lines {
  say(line: string): void;
  hear(): Promise<string>;
}

/** Lines over the socket; what comes after the last one is left in it. The socket is paused when this resolves. */
async function conversation(
  { socket, clock }: AdmissionOptions,
  other: string,
  run: (lines: Lines) => Promise<Peer>,
): Promise<Peer> {
  let held = '';
  let waiting: PromiseWithResolvers<string> | undefined;
  let fault: Refused | undefined;
  const fail = (refusal: Refusal) => {
    fault ??= new Refused(refusal);
    waiting?.reject(fault);
    waiting = undefined;
  };
  const give = () => {
    const end = held.indexOf('\n');
    if (end < 0) return held.length > MAX_LINE ? fail('nonsense') : undefined;
    const line = held.slice(0, end);
    held = held.slice(end + 1);
    const { resolve } = waiting ?? {};
    waiting = undefined;
    socket.pause();
    resolve?.(line);
  };
  const onData = (chunk: Buffer) => {
    held += chunk.toString('latin1');
    if (waiting !== undefined) give();
  };
  const onLost = () => fail('lost');
  const timer = clock.after(PATIENCE_MS, () => fail('silent'));
  socket.on('data', onData).on('error', onLost).on('close', onLost);
  const lines: Lines = {
    say: (line) => void socket.write(`${line}\n`),
    hear() {
      if (fault !== undefined) return Promise.reject(fault);
      waiting = Promise.withResolvers<string>();
      const { promise } = waiting;
      if (held.length > 0) give();
      if (waiting !== undefined) socket.resume();
      return promise;
    },
  };
  try {
    return await run(lines);
  } catch (error) {
    const { refusal, spoken } = error instanceof Refused ? error : new Refused('nonsense');
    if (!socket.destroyed) {
      socket.end(`${JSON.stringify({ refused: refusal, ...(refusal === 'version' ? { versions: OURS } : {}) })}\n`);
      clock.after(LAST_WORD_MS, () => socket.destroy());
    }
    throw new AdmissionError(refusal, other, spoken);
  } finally {
    clock.clear(timer);
    socket.pause();
    socket.off('data', onData).off('error', onLost).off('close', onLost);
    if (held.length > 0 && !socket.destroyed) socket.unshift(Buffer.from(held, 'latin1'));
    if (fault !== undefined || socket.destroyed) socket.on('error', () => undefined);
  }
}
