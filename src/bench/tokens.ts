/** Tokens for the clients of a run, made as the server's own API makes them: many a call, or one by one for the originals. */
import { randomBytes } from 'node:crypto';
import { errorFromProblem, ImgoError } from '../protocol/errors.js';
import { roomName, roomOf, userName } from './aims.js';
import type { HttpAnswer } from './http-caller.js';
import type { BenchPlan } from './plan.js';
import type { Target } from './target.js';

/** Of one call to `/v1/tokens`: half of what it takes, so that two are made while one travels. */
export const TOKENS_A_CALL = 5_000;
/** Longer than any run; a running server is not left with tokens for a month. */
const TTL = '1d';
const TTL_SECONDS = 86_400;
const AT_ONCE = 32;
const TOKEN_BYTES = 24;

/** Tokens of the connections from number `first` on; empty ones where a client states who it is. @throws ImgoError */
export async function makeTokens(
  target: Target,
  plan: BenchPlan,
  first: number,
  count: number,
): Promise<readonly string[]> {
  if (target.native) return makeMany(target, plan, first, count);
  if (plan.dialect === 'goim') return new Array<string>(count).fill('');
  const tokens: string[] = [];
  for (let at = 0; at < count; at += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, one) => choose(target, first + at + one));
    tokens.push(...(await Promise.all(some)));
  }
  return tokens;
}

async function makeMany(target: Target, plan: BenchPlan, first: number, count: number): Promise<readonly string[]> {
  const { dialect, rooms, mode } = plan;
  // imgo's clients are in the server's default room unless their token names others; the other dialects may join what theirs names.
  const named = (dialect !== 'imgo' && (mode === 'room' || mode === 'mix')) || rooms > 1;
  const users = Array.from({ length: count }, (_, at) => {
    const user = userName(target.userBase, first + at);
    if (!named) return { user, ttl: TTL };
    return { user, ttl: TTL, rooms: [roomName(dialect, roomOf(first + at, rooms))] };
  });
  const answer = await target.http.call('POST', '/v1/tokens', JSON.stringify(users));
  if (answer.status !== 200) throw refusal('/v1/tokens', answer);
  return (JSON.parse(answer.text) as readonly { readonly token: string }[]).map(({ token }) => token);
}

/** imgo's own way: the caller chooses. */
async function choose(target: Target, connection: number): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString('hex');
  const uid = userName(target.userBase, connection);
  const form = new URLSearchParams({ uid, token, expire: String(TTL_SECONDS) }).toString();
  const answer = await target.http.call('POST', '/1/admin/token/new', form);
  if (answer.status !== 200 || answer.json['ret'] !== 1) throw refusal('/1/admin/token/new', answer);
  return token;
}

function refusal(path: string, { status, text, json }: HttpAnswer): ImgoError {
  return (
    errorFromProblem(json) ?? new ImgoError('internal', { detail: `${path}: HTTP ${status} ${text.slice(0, 200)}` })
  );
}
