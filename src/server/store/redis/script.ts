// Lua scripts as Redis runs them: found by the SHA-1 of their text, so that two versions of one script live side by side
// while nodes are upgraded; sent whole to a server that does not have them yet. Everything here is one round trip.

import { createHash } from 'node:crypto';

/** What a script's text begins with: the time in ms, from the caller when a test says so, else Redis's own. */
const PRELUDE = `
local function time(given)
  local ms = tonumber(given)
  if ms > 0 then return ms end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
`;

/** A script, ready to be called. */
export interface Script {
  readonly name: string;
  readonly source: string;
  readonly sha: string;
}

/**
 * @param name for messages, with a version: `apply-1`
 * @param parts of Lua, in order
 */
export function script(name: string, ...parts: readonly string[]): Script {
  const source = `-- imgo ${name}\n${[PRELUDE, ...parts].join('\n')}`;
  return { name, source, sha: createHash('sha1').update(source).digest('hex') };
}
