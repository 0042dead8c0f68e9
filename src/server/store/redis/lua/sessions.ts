// Lua shared by the scripts that touch live sessions. Those of a user (or one that has none) are one value: few, read and
// written together with an apply of the user's log.
//
//   value    [sessions, removed] in MessagePack; removed: [session, incarnation, seq, at]: a late registration loses to it
//   session  [session, device, comet, incarnation, seq, since, open (0|1), position epoch, n, token, dialect, transport, peer]
//   index    zset per bucket, all scores 0: SESSION \0 USER \0 COMET \0 INCARNATION, in the order of ids
//   comets   hash per bucket: COMET -> [the highest incarnation that registered, when it did]; older ones are ignored
//
// All of it is in the bucket's slot and changes in one script: no half of it is ever left behind.

/** Removed sessions are remembered for this long, ms, and so many of a user. */
const REMOVED_MS = 120_000;
const REMOVED_KEPT = 16;

/** Above so many comets those are forgotten that came this long ago, ms: no call of theirs is late any more. */
const COMETS_KEPT = 64;
const COMET_MS = 3_600_000;

/** Uses `now`. */
export const SESSIONS = `
local function load_sessions(key)
  local raw = redis.call('GET', key)
  if not raw then return {}, {} end
  return unpack(cmsgpack.unpack(raw))
end
local function save_sessions(key, sessions, removed)
  local kept = {}
  for at = math.max(1, #removed - ${REMOVED_KEPT - 1}), #removed do
    if removed[at][4] + ${REMOVED_MS} > now then kept[#kept + 1] = removed[at] end
  end
  if #sessions > 0 then redis.call('SET', key, cmsgpack.pack({sessions, kept}))
  elseif #kept > 0 then redis.call('SET', key, cmsgpack.pack({sessions, kept}), 'PX', ${REMOVED_MS})
  else redis.call('DEL', key) end
end
local function find_session(list, id)
  for at, one in ipairs(list) do if one[1] == id then return one, at end end
end
-- Whether incarnation and seq of a come before those of b.
local function is_older(ai, as, bi, bs) return ai < bi or (ai == bi and as < bs) end
local function indexed(user, session)
  return session[1] .. '\\0' .. user .. '\\0' .. session[3] .. '\\0' .. string.format('%.0f', session[4])
end
local function bury(removed, id, incarnation, seq)
  local _, at = find_session(removed, id)
  if at then table.remove(removed, at) end
  removed[#removed + 1] = {id, incarnation, seq, now}
end
local function remove_session(sessions, removed, index, user, session)
  local _, at = find_session(sessions, session[1])
  table.remove(sessions, at)
  redis.call('ZREM', index, indexed(user, session))
  bury(removed, session[1], session[4], session[5])
end
local function known_incarnation(comets, comet)
  local known = redis.call('HGET', comets, comet)
  return known and cmsgpack.unpack(known)[1] or 0
end
-- Comets that are gone for good are forgotten by whoever comes when there are many.
local function know_incarnation(comets, comet, incarnation)
  redis.call('HSET', comets, comet, cmsgpack.pack({incarnation, now}))
  if redis.call('HLEN', comets) <= ${COMETS_KEPT} then return end
  local flat = redis.call('HGETALL', comets)
  for at = 1, #flat, 2 do
    if cmsgpack.unpack(flat[at + 1])[2] + ${COMET_MS} <= now then redis.call('HDEL', comets, flat[at]) end
  end
end
-- Whether a session of the device, other than this one, has its cursor open.
local function is_open(sessions, device, except)
  for _, one in ipairs(sessions) do
    if one[7] == 1 and one[2] == device and one[1] ~= except then return true end
  end
  return false
end
`;
