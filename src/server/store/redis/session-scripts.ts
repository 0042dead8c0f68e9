// The scripts of live sessions and their cursors, put together from lua/. Each is one atomic step in the slot of the
// user's bucket. KEYS: sessions, index, comets, record, entries, meta. ARGV: time, options, the user or '', then as said.
// A session that ends releases its hold, and what only it held is trimmed in the same step.

import { DEVICES } from './lua/devices.js';
import { LOG } from './lua/log.js';
import { SESSIONS } from './lua/sessions.js';
import { script } from './script.js';

const START = `
local SESSIONS_KEY, INDEX, COMETS, RECORD_KEY, ENTRIES, META = unpack(KEYS)
local user = ARGV[3]
local sessions, removed = load_sessions(SESSIONS_KEY)
-- Sessions are gone. open: nobody will say how far they got.
local function release(gone, open)
  if user == '' or #gone == 0 then return end
  local log = load_log(RECORD_KEY)
  if not log then return end
  local set = load_devices(log)
  local anonymous = open and find_device(set, '')
  for _, one in ipairs(gone) do
    if anonymous and one[2] == '' then close_unknown(log, anonymous) end
  end
  save_devices(log, set)
  trim(log, ENTRIES, true, acknowledged_to(set, sessions))
  save_log(RECORD_KEY, log, true)
end
`;

const make = (name: string, body: string) => script(`${name}-2`, LOG, SESSIONS, DEVICES, START, body);

/**
 * ARGV: packed session, cap, 1 to reject what is above it. Returns packed [kind, replaced, evicted, counts].
 */
export const REGISTER = make(
  'register',
  `
local session, cap, reject = cmsgpack.unpack(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local function done(kind, replaced, evicted) return cmsgpack.pack({kind, replaced, evicted, counts()}) end
local current = find_session(sessions, session[1])
local buried = not current and find_session(removed, session[1])
if current and is_older(session[4], session[5], current[4], current[5]) then return done('registered', {}, {}) end
if buried and is_older(session[4], session[5], buried[2], buried[3]) then return done('registered', {}, {}) end
local incarnation = known_incarnation(COMETS, session[3])
if session[4] < incarnation then return done('registered', {}, {}) end
if session[4] > incarnation then know_incarnation(COMETS, session[3], session[4]) end
local replaced, evicted = {}, {}
if user ~= '' then
  local rest = {}
  for _, one in ipairs(sessions) do
    if one ~= current then
      local list = session[2] ~= '' and one[2] == session[2] and replaced or rest
      list[#list + 1] = one
    end
  end
  local excess = #rest + 1 - math.max(1, cap)
  if excess > 0 and reject and not current then return done('too_many', {}, {}) end
  if excess > 0 and not reject then
    table.sort(rest, function(a, b) return a[6] < b[6] or (a[6] == b[6] and a[5] < b[5]) end)
    for at = 1, math.min(excess, #rest) do evicted[at] = rest[at] end
  end
  for _, one in ipairs(replaced) do remove_session(sessions, removed, INDEX, user, one) end
  for _, one in ipairs(evicted) do remove_session(sessions, removed, INDEX, user, one) end
end
if current then
  redis.call('ZREM', INDEX, indexed(user, current))
  session[7], session[8], session[9] = current[7], current[8], current[9]
  local _, place = find_session(sessions, session[1])
  sessions[place] = session
else
  sessions[#sessions + 1] = session
end
redis.call('ZADD', INDEX, 0, indexed(user, session))
local _, grave = find_session(removed, session[1])
if grave then table.remove(removed, grave) end
save_sessions(SESSIONS_KEY, sessions, removed)
release(replaced, false)
release(evicted, false)
return done('registered', replaced, evicted)`,
);

/** ARGV: session, incarnation, seq. Returns packed counts. */
export const UNREGISTER = make(
  'unregister',
  `
local id, incarnation, seq = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local current = find_session(sessions, id)
if not current then
  local buried = find_session(removed, id)
  if not buried or is_older(buried[2], buried[3], incarnation, seq) then
    bury(removed, id, incarnation, seq)
    save_sessions(SESSIONS_KEY, sessions, removed)
  end
  return cmsgpack.pack(counts())
end
if is_older(incarnation, seq, current[4], current[5]) then return cmsgpack.pack(counts()) end
remove_session(sessions, removed, INDEX, user, current)
bury(removed, id, incarnation, seq)
save_sessions(SESSIONS_KEY, sessions, removed)
release({current}, current[7] == 1)
return cmsgpack.pack(counts())`,
);

/** ARGV: comet, the incarnation that stays or -1. Returns packed [how many are gone, counts]. */
export const DROP = make(
  'drop',
  `
local comet, keep = ARGV[4], tonumber(ARGV[5])
local gone, open = {}, {}
for _, one in ipairs(sessions) do
  if one[3] == comet and (keep < 0 or one[4] < keep) then
    gone[#gone + 1] = one
    if one[7] == 1 then open[#open + 1] = one end
  end
end
for _, one in ipairs(gone) do remove_session(sessions, removed, INDEX, user, one) end
if #gone > 0 then save_sessions(SESSIONS_KEY, sessions, removed) end
release(open, true)
return cmsgpack.pack({#gone, counts()})`,
);

/**
 * ARGV: session, device, its hash, the client's position: epoch, n or -1; epoch of the history. Returns packed
 * [start epoch, n, head epoch, n, sentBefore epoch, n, counts].
 */
export const OPEN = make(
  'open',
  `
local id, device, hash, epoch = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[9])
local given = tonumber(ARGV[7]) >= 0 and {tonumber(ARGV[7]), tonumber(ARGV[8])} or nil
local log = load_log(RECORD_KEY) or new_log()
if given and log.he == 0 and log.hn == 0 and not same(given, {0, 0}) then
  -- Nobody knows this log, and the client has read in it: all that was there is gone.
  local mark = redis.call('HMGET', META, 'epoch', 'n')
  local floor = later({tonumber(mark[1] or '0'), tonumber(mark[2] or '0')}, {epoch, 0})
  log.he, log.hn, log.te, log.tn = floor[1], floor[2], floor[1], floor[2]
  if lt(floor[1], floor[2], given[1], given[2]) then given = {0, 0} end
end
local set = load_devices(log)
local start, before = open_device(log, set, sessions, id, device, hash, given)
-- What was applied before a failover took it back was delivered then, perhaps, and comes again.
local taken = redis.call('HMGET', META, 'taken_epoch', 'taken_n')
if taken[1] then before = later(before, {tonumber(taken[1]), tonumber(taken[2])}) end
log.used = now
local current = find_session(sessions, id)
if current then
  current[7], current[8], current[9] = 1, start[1], start[2]
  save_sessions(SESSIONS_KEY, sessions, removed)
end
local head = {log.he, log.hn}
save_devices(log, set)
trim(log, ENTRIES, true, acknowledged_to(set, sessions))
save_log(RECORD_KEY, log, true)
return cmsgpack.pack({start[1], start[2], head[1], head[2], before[1], before[2], counts()})`,
);

/** ARGV: session, device, epoch, n, 1 when it acknowledges. Returns packed counts. */
export const PROGRESS = make(
  'progress',
  `
local log = load_log(RECORD_KEY)
if not log then return cmsgpack.pack(counts()) end
local upto = {tonumber(ARGV[6]), tonumber(ARGV[7])}
local current = find_session(sessions, ARGV[4])
if current and current[7] == 1 and lt(current[8], current[9], upto[1], upto[2]) then
  current[8], current[9] = upto[1], upto[2]
  save_sessions(SESSIONS_KEY, sessions, removed)
end
local set = load_devices(log)
local device = ARGV[8] == '1' and find_device(set, ARGV[5])
if device then
  local cursor = later({device[3], device[4]}, earlier(upto, {log.he, log.hn}))
  if not same(cursor, {device[3], device[4]}) then
    device[3], device[4] = cursor[1], cursor[2]
    sent(device, cursor)
    log.used = now
    save_devices(log, set)
  end
end
trim(log, ENTRIES, true, acknowledged_to(set, sessions))
save_log(RECORD_KEY, log, true)
return cmsgpack.pack(counts())`,
);

/** ARGV: session, device, sentTo epoch, n, 1 when that is certain. Returns packed counts. */
export const CLOSE = make(
  'close',
  `
local log = load_log(RECORD_KEY)
if not log then return cmsgpack.pack(counts()) end
local current = find_session(sessions, ARGV[4])
local was_open = current and current[7] == 1
if was_open then
  current[7] = 0
  save_sessions(SESSIONS_KEY, sessions, removed)
end
local set = load_devices(log)
local device = find_device(set, ARGV[5])
if device then
  local head = {log.he, log.hn}
  -- Said late, by a session that another one took over from: not how the last one ended.
  local clean = ARGV[8] == '1' and (was_open or device[9] == ARGV[4])
  sent(device, clean and earlier({tonumber(ARGV[6]), tonumber(ARGV[7])}, head) or head)
  device[7] = clean and not is_open(sessions, ARGV[5], ARGV[4]) and 1 or 0
  device[8], device[10] = now, lineage()
  save_devices(log, set)
end
trim(log, ENTRIES, true, acknowledged_to(set, sessions))
save_log(RECORD_KEY, log, true)
return cmsgpack.pack(counts())`,
);

/**
 * Who has sessions of a comet in a bucket; from now on older incarnations of it are ignored. KEYS: index, comets. ARGV:
 * comet, the incarnation that stays or -1. Returns SESSION \0 USER of each that has to go.
 */
export const DROP_BEGIN = script(
  'drop-begin-1',
  'local now = time(0)',
  SESSIONS,
  `
local keep = tonumber(ARGV[2])
if keep < 0 then redis.call('HDEL', KEYS[2], ARGV[1])
elseif keep > known_incarnation(KEYS[2], ARGV[1]) then know_incarnation(KEYS[2], ARGV[1], keep) end
local found, from = {}, 0
while true do
  local members = redis.call('ZRANGE', KEYS[1], from, from + 999)
  for _, member in ipairs(members) do
    local session, user, comet, incarnation = string.match(member, '^(%Z*)%z(%Z*)%z(%Z*)%z(%Z*)$')
    if comet == ARGV[1] and (keep < 0 or tonumber(incarnation) < keep) then
      found[#found + 1] = session .. '\\0' .. user
    end
  end
  if #members < 1000 then return found end
  from = from + 1000
end`,
);
