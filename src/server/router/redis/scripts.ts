// The registry's scripts. All keys are in one slot, so every script sees nodes and rooms as they are together:
//
//   nodes    hash  NODE -> [incarnation, expiresAt, gone (0|1), resync, record as JSON, state]  (MessagePack)
//   count    hash  incarnation, resync: the numbers given last;  history:ID: those that were told of
//   rooms    zset  ROOM \0 NODE \0 INCARNATION: who has members, in the order of names
//   held     zset  NODE \0 INCARNATION \0 ROOM: the same from the other side, to clean up after an incarnation
//   words    hash  ROOM \0 NODE -> "INCARNATION SEQ MEMBER": the last word of a comet on a room
//   removed  zset  ROOM \0 NODE by the time of its removal: such words are forgotten after a minute
//
// An incarnation that ended is not a reader from that moment on; what it held is cleaned up in bounded steps by whoever
// comes next. Times are Redis's own, ms.

import { script } from '../../store/redis/script.js';

/** How long a node that is gone stays listed, and a removed membership guards against a late `add`. Milliseconds. */
const REMEMBER_MS = 60_000;
/** Memberships and words that one call cleans up at most. */
const STEP = 500;

const LIBRARY = `
local NODES, COUNT, ROOMS, HELD, WORDS, REMOVED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now = time(ARGV[1])

local function load(id)
  local packed = redis.call('HGET', NODES, id)
  return packed and cmsgpack.unpack(packed)
end
local function save(id, node) redis.call('HSET', NODES, id, cmsgpack.pack(node)) end
local function shown(id, node) return {id, node[1], node[3] == 1 and 'gone' or node[6], node[5]} end
local function finish(id, node)
  node[2], node[3], node[4] = now, 1, 0
  save(id, node)
end
-- The node, if this is its incarnation and its lease holds.
local function live(id, incarnation)
  local node = load(id)
  if not node or node[3] == 1 or node[1] ~= tonumber(incarnation) then return nil end
  if node[2] > now then return node end
  finish(id, node)
  return nil
end
-- All nodes, as they are now: leases that ran out are ended, those gone for long are forgotten.
local function all()
  local nodes, flat = {}, redis.call('HGETALL', NODES)
  for at = 1, #flat, 2 do
    local id, node = flat[at], cmsgpack.unpack(flat[at + 1])
    if node[3] == 0 and node[2] <= now then finish(id, node) end
    if node[3] == 1 and node[2] + ${REMEMBER_MS} <= now then redis.call('HDEL', NODES, id)
    else nodes[id] = node end
  end
  return nodes
end
-- What belongs to incarnations that ended, and words that are old enough to be forgotten.
local function clean()
  local left = ${STEP}
  for _, pair in ipairs(redis.call('ZRANGEBYSCORE', REMOVED, '-inf', now - ${REMEMBER_MS}, 'LIMIT', 0, left)) do
    redis.call('ZREM', REMOVED, pair)
    local word = redis.call('HGET', WORDS, pair)
    if word and string.sub(word, -1) == '0' then redis.call('HDEL', WORDS, pair) end
  end
  local nodes = all()
  local from = '-'
  while left > 0 do
    local next = redis.call('ZRANGEBYLEX', HELD, from, '+', 'LIMIT', 0, 1)[1]
    if not next then return end
    local id, incarnation = string.match(next, '^(%Z*)%z(%Z*)%z')
    local first = id .. '\\0' .. incarnation .. '\\0'
    local last = id .. '\\0' .. incarnation .. '\\1'
    local node = nodes[id]
    if not (node and node[3] == 0 and node[1] == tonumber(incarnation)) then
      local gone = redis.call('ZRANGEBYLEX', HELD, '[' .. first, '(' .. last, 'LIMIT', 0, left)
      for _, entry in ipairs(gone) do
        local room = string.sub(entry, #first + 1)
        redis.call('ZREM', HELD, entry)
        redis.call('ZREM', ROOMS, room .. '\\0' .. id .. '\\0' .. incarnation)
        local pair = room .. '\\0' .. id
        local word = redis.call('HGET', WORDS, pair)
        if word and string.match(word, '^%d+') == incarnation then redis.call('HDEL', WORDS, pair) end
      end
      left = left - math.max(1, #gone)
      if left > 0 then from = '[' .. last end
    else
      from = '[' .. last
    end
  end
end
local function is_live(nodes, id, incarnation)
  local node = nodes[id]
  return node and node[3] == 0 and node[1] == tonumber(incarnation)
end
`;

const make = (name: string, body: string) => script(`${name}-1`, LIBRARY, body);

/** ARGV: time, node, lease ms, record. Returns the incarnation as text. */
export const JOIN = make(
  'join',
  `
local older = load(ARGV[2])
if older and older[3] == 0 then finish(ARGV[2], older) end
-- Wall time in front: a registry that lost what it knew gives higher incarnations than before.
local last = tonumber(redis.call('HGET', COUNT, 'incarnation') or '0')
local incarnation = math.max(last + 1, older and older[1] + 1 or 0, math.floor(now))
redis.call('HSET', COUNT, 'incarnation', string.format('%.0f', incarnation))
save(ARGV[2], {incarnation, now + tonumber(ARGV[3]), 0, 0, ARGV[4], 'ok'})
clean()
return string.format('%.0f', incarnation)`,
);

/** ARGV: time, node, incarnation, lease ms, state. Returns the resync number, 0 for none, -1 when the lease is over. */
export const RENEW = make(
  'renew',
  `
local node = live(ARGV[2], ARGV[3])
clean()
if not node then return -1 end
node[2], node[6] = now + tonumber(ARGV[4]), ARGV[5]
save(ARGV[2], node)
return node[4]`,
);

/** ARGV: time, node, incarnation. */
export const LEAVE = make(
  'leave',
  `
local node = live(ARGV[2], ARGV[3])
if node then finish(ARGV[2], node) end
clean()`,
);

/** ARGV: time. Returns [node, incarnation, state, record]… packed. */
export const NODES = make(
  'nodes',
  `
local list = {}
for id, node in pairs(all()) do list[#list + 1] = shown(id, node) end
return cmsgpack.pack(list)`,
);

/** ARGV: time, node, incarnation, room, seq, member (0|1). */
export const WORD = make(
  'word',
  `
local id, incarnation, room, seq, member = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
if not live(id, incarnation) then return end
local pair = room .. '\\0' .. id
local word = redis.call('HGET', WORDS, pair)
if word then
  local of, last = string.match(word, '^(%d+) (%d+)')
  if of == incarnation and tonumber(last) >= seq then return end
  if of ~= incarnation then
    redis.call('ZREM', ROOMS, pair .. '\\0' .. of)
    redis.call('ZREM', HELD, id .. '\\0' .. of .. '\\0' .. room)
  end
end
redis.call('HSET', WORDS, pair, incarnation .. ' ' .. ARGV[5] .. ' ' .. member)
local held = id .. '\\0' .. incarnation .. '\\0' .. room
if member == '1' then
  redis.call('ZADD', ROOMS, 0, pair .. '\\0' .. incarnation)
  redis.call('ZADD', HELD, 0, held)
  redis.call('ZREM', REMOVED, pair)
else
  redis.call('ZREM', ROOMS, pair .. '\\0' .. incarnation)
  redis.call('ZREM', HELD, held)
  redis.call('ZADD', REMOVED, now, pair)
end`,
);

/** ARGV: time, rooms…. Returns, for each, the names of its live comets; and the nodes by name. Packed. */
export const READERS = make(
  'readers',
  `
local nodes, used, answer = all(), {}, {}
for at = 2, #ARGV do
  local first, comets = ARGV[at] .. '\\0', {}
  for _, entry in ipairs(redis.call('ZRANGEBYLEX', ROOMS, '[' .. first, '(' .. ARGV[at] .. '\\1')) do
    local id, incarnation = string.match(string.sub(entry, #first + 1), '^(%Z*)%z(%Z*)$')
    if is_live(nodes, id, incarnation) then
      comets[#comets + 1] = id
      used[id] = nodes[id]
    end
  end
  answer[at - 1] = comets
end
local list = {}
for id, node in pairs(used) do list[#list + 1] = shown(id, node) end
return cmsgpack.pack({answer, list})`,
);

/** ARGV: time, after ('' from the start), limit. Returns names of rooms with live members, packed. */
export const ROOMS = make(
  'rooms',
  `
local nodes, found, limit = all(), {}, tonumber(ARGV[3])
local from = ARGV[2] == '' and '-' or '[' .. ARGV[2] .. '\\1'
while #found < limit do
  local entry = redis.call('ZRANGEBYLEX', ROOMS, from, '+', 'LIMIT', 0, 1)[1]
  if not entry then break end
  local room, id, incarnation = string.match(entry, '^(%Z*)%z(%Z*)%z(%Z*)$')
  if is_live(nodes, id, incarnation) then
    found[#found + 1] = room
    from = '[' .. room .. '\\1'
  else
    from = '(' .. entry
  end
end
return cmsgpack.pack(found)`,
);

/** ARGV: time, node, incarnation. A number of its own each time: an answer to an earlier mark clears no later one. */
export const MARK = make(
  'mark',
  `
local node = live(ARGV[2], ARGV[3])
if not node then return end
node[4] = redis.call('HINCRBY', COUNT, 'resync', 1)
save(ARGV[2], node)`,
);

/** ARGV: time, node, incarnation, resync number. */
export const RESYNCED = make(
  'resynced',
  `
local node = live(ARGV[2], ARGV[3])
if node and node[4] == tonumber(ARGV[4]) then
  node[4] = 0
  save(ARGV[2], node)
end`,
);

/** ARGV: time, a history's id. Marks every live comet, the first time only. Returns how many. */
export const FAILED_OVER = make(
  'failed-over',
  `
if redis.call('HSETNX', COUNT, 'history:' .. ARGV[2], now) == 0 then return 0 end
local marked = 0
for id, node in pairs(all()) do
  if node[3] == 0 and string.find(node[5], '"comet"', 1, true) then
    node[4] = redis.call('HINCRBY', COUNT, 'resync', 1)
    save(id, node)
    marked = marked + 1
  end
end
return marked`,
);
