// The scripts of credentials. All keys are in one slot, so a token and the ways to find it change together:
//
//   tokens  hash  ID -> [hash, user, record as JSON, expiresAt, revokedAt or -1]  (MessagePack)
//   hashes  hash  HASH -> ID
//   ids     zset  ID, all scores 0: pages
//   users   zset  USER \0 ID, all scores 0: those of a user, in the order of ids
//   ends    zset  ID by when it expires or was revoked, whichever is earlier, ms
//   keys    hash  ID -> [hash, record as JSON, ends or -1, revokedAt or -1]
//   owners  hash  HASH -> ID of a key
//   kicks   zset  SESSION by when it was kicked

import { script } from './script.js';

const LIBRARY = `
local TOKENS, HASHES, IDS, USERS, ENDS, API_KEYS, OWNERS, KICKS = unpack(KEYS)
local function load(id)
  local packed = redis.call('HGET', TOKENS, id)
  return packed and cmsgpack.unpack(packed)
end
local function save(id, token)
  redis.call('HSET', TOKENS, id, cmsgpack.pack(token))
  redis.call('HSET', HASHES, token[1], id)
  redis.call('ZADD', IDS, 0, id)
  redis.call('ZADD', USERS, 0, token[2] .. '\\0' .. id)
  redis.call('ZADD', ENDS, token[5] >= 0 and math.min(token[4], token[5]) or token[4], id)
end
local function drop(id)
  local token = id and load(id)
  if not token then return end
  redis.call('HDEL', TOKENS, id)
  redis.call('HDEL', HASHES, token[1])
  redis.call('ZREM', IDS, id)
  redis.call('ZREM', USERS, token[2] .. '\\0' .. id)
  redis.call('ZREM', ENDS, id)
end
local function shown(token) return {token[3], token[5]} end
`;

const make = (name: string, body: string) => script(`${name}-1`, LIBRARY, body);

/** ARGV: [id, hash, user, record, expiresAt, revokedAt or -1] of each, packed. */
export const PUT_TOKENS = make(
  'put-tokens',
  `
for _, packed in ipairs(ARGV) do
  local id, hash, user, record, expires, revoked = unpack(cmsgpack.unpack(packed))
  drop(redis.call('HGET', HASHES, hash))
  drop(id)
  save(id, {hash, user, record, expires, revoked})
end`,
);

/** ARGV: hash. Returns packed [record, revokedAt], or nothing. */
export const TOKEN_BY_HASH = make(
  'token-by-hash',
  `
local id = redis.call('HGET', HASHES, ARGV[1])
local token = id and load(id)
return token and cmsgpack.pack(shown(token))`,
);

/** ARGV: id. Returns the same. */
export const TOKEN_BY_ID = make(
  'token-by-id',
  `
local token = load(ARGV[1])
return token and cmsgpack.pack(shown(token))`,
);

/** ARGV: user or '', after or '', limit. Returns packed [record, revokedAt] of each. */
export const TOKENS = make(
  'tokens',
  `
local user, after, found = ARGV[1], ARGV[2], {}
local key, first = IDS, ''
if user ~= '' then key, first = USERS, user .. '\\0' end
local from = after ~= '' and '(' .. first .. after or (first == '' and '-' or '(' .. first)
local upto = user ~= '' and '(' .. user .. '\\1' or '+'
for at, entry in ipairs(redis.call('ZRANGEBYLEX', key, from, upto, 'LIMIT', 0, ARGV[3])) do
  found[at] = shown(load(string.sub(entry, #first + 1)))
end
return cmsgpack.pack(found)`,
);

/** ARGV: id or '', user or '', wall ms. Returns packed [record, revokedAt] of each, by id. */
export const REVOKE_TOKENS = make(
  'revoke-tokens',
  `
local ids, found = {ARGV[1]}, {}
if ARGV[1] == '' then
  local first = ARGV[2] .. '\\0'
  ids = redis.call('ZRANGEBYLEX', USERS, '[' .. first, '(' .. ARGV[2] .. '\\1')
  for at, entry in ipairs(ids) do ids[at] = string.sub(entry, #first + 1) end
end
for _, id in ipairs(ids) do
  local token = load(id)
  if token then
    if token[5] < 0 then
      token[5] = tonumber(ARGV[3])
      save(id, token)
    end
    found[#found + 1] = shown(token)
  end
end
return cmsgpack.pack(found)`,
);

/** ARGV: id, hash, record, expiresAt or -1, revokedAt or -1. */
export const PUT_KEY = make(
  'put-key',
  `
local old = redis.call('HGET', API_KEYS, ARGV[1])
if old then redis.call('HDEL', OWNERS, cmsgpack.unpack(old)[1]) end
redis.call('HSET', API_KEYS, ARGV[1], cmsgpack.pack({ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])}))
redis.call('HSET', OWNERS, ARGV[2], ARGV[1])`,
);

/** ARGV: hash. Returns packed [record, revokedAt], or nothing. */
export const KEY_BY_HASH = make(
  'key-by-hash',
  `
local id = redis.call('HGET', OWNERS, ARGV[1])
local packed = id and redis.call('HGET', API_KEYS, id)
if not packed then return false end
local key = cmsgpack.unpack(packed)
return cmsgpack.pack({key[2], key[4]})`,
);

/** Returns packed [record, revokedAt] of each. */
export const API_KEYS = make(
  'keys',
  `
local found = {}
for at, packed in ipairs(redis.call('HVALS', API_KEYS)) do
  local key = cmsgpack.unpack(packed)
  found[at] = {key[2], key[4]}
end
return cmsgpack.pack(found)`,
);

/** ARGV: id, wall ms. Returns packed [record, revokedAt], or nothing. */
export const REVOKE_KEY = make(
  'revoke-key',
  `
local packed = redis.call('HGET', API_KEYS, ARGV[1])
if not packed then return false end
local key = cmsgpack.unpack(packed)
if key[4] < 0 then
  key[4] = tonumber(ARGV[2])
  redis.call('HSET', API_KEYS, ARGV[1], cmsgpack.pack(key))
end
return cmsgpack.pack({key[2], key[4]})`,
);

/** ARGV: before, wall ms; how many at most. Returns how many tokens and kicks are gone; fewer than asked: that was all. */
export const FORGET = make(
  'forget',
  `
local before, gone = '(' .. ARGV[1], 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', before, 'LIMIT', 0, ARGV[2])) do
  drop(id)
  gone = gone + 1
end
for _, session in ipairs(redis.call('ZRANGEBYSCORE', KICKS, '-inf', before, 'LIMIT', 0, ARGV[2])) do
  redis.call('ZREM', KICKS, session)
  gone = gone + 1
end
local flat = redis.call('HGETALL', API_KEYS)
for at = 1, #flat, 2 do
  local key = cmsgpack.unpack(flat[at + 1])
  local over = (key[3] >= 0 and key[3] < tonumber(ARGV[1])) or (key[4] >= 0 and key[4] < tonumber(ARGV[1]))
  if over then
    redis.call('HDEL', API_KEYS, flat[at])
    redis.call('HDEL', OWNERS, key[1])
  end
end
return gone`,
);
