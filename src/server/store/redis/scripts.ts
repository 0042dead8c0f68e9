// The scripts of a bucket, put together from lua/. Each is one atomic step in the bucket's slot. First arguments of all:
// the time (script.ts) and the options (lua/log.ts).

import { IDEMPOTENCY } from './lua/idempotency.js';
import { ENTRY_BYTES, LOG } from './lua/log.js';
import { script } from './script.js';

/** Whether the stored mark is below the one last seen: then the bucket remembers that this one was, for it is lost. */
const BEHIND = `
local function behind(meta, mark_e, mark_n, last_e, last_n)
  if not lt(mark_e, mark_n, last_e, last_n) then return false end
  local taken = redis.call('HMGET', meta, 'taken_epoch', 'taken_n')
  if lt(tonumber(taken[1] or '0'), tonumber(taken[2] or '0'), last_e, last_n) then
    redis.call('HSET', meta, 'taken_epoch', last_e, 'taken_n', last_n)
  end
  return true
end
`;

/**
 * Apply and look-up. KEYS: meta, idempotent, expiring, then record, entries, sessions of each log. ARGV: bytes that
 * idempotency records of this bucket may take; [lastSeen epoch, n, upTo epoch, n, [1 for a user's log]…, records];
 * a record is [log, epoch, n, acceptedAt, expiresAt, operation or -1, payload, digest, body hash], the latter two only
 * with an idempotency key. Returns [packed [1, mark epoch, n, results, counts, idempotency bytes, expired keys], the
 * sessions of each log or '']; results are kind, epoch, n. BEHIND: packed [0, mark epoch, n].
 */
export const APPLY = script(
  'apply-2',
  LOG,
  BEHIND,
  `
local meta, idempotent, expiring = KEYS[1], KEYS[2], KEYS[3]
local room = tonumber(ARGV[3])
local last_e, last_n, upto_e, upto_n, users, records = unpack(cmsgpack.unpack(ARGV[4]))
local stored = redis.call('HMGET', meta, 'epoch', 'n', 'bytes')
local mark_e, mark_n, bytes_kept = tonumber(stored[1] or '0'), tonumber(stored[2] or '0'), tonumber(stored[3] or '0')
if behind(meta, mark_e, mark_n, last_e, last_n) then return {cmsgpack.pack({0, mark_e, mark_n})} end
`,
  IDEMPOTENCY,
  `
local logs, pending, touched, results, keyed = {}, {}, {}, {}, false
local function key_of(log, part) return KEYS[log * 3 + part] end
local function write(at)
  local list = pending[at]
  if not list then return end
  for from = 1, #list, 500 do
    redis.call('RPUSH', key_of(at, 2), unpack(list, from, math.min(from + 499, #list)))
  end
  pending[at] = nil
end
local function result(kind, e, n)
  local size = #results
  results[size + 1], results[size + 2], results[size + 3] = kind, e, n
end
local function repeated(at, e, n)
  write(at)
  local log = logs[at] or load_log(key_of(at, 1))
  if not log then return result('gone', e, n) end
  logs[at] = log
  local index = index_after(log, key_of(at, 2), e, n) - 1
  local entry = index >= 0 and redis.call('LINDEX', key_of(at, 2), index)
  if not entry then return result('gone', e, n) end
  local ie, i_n, pe, pn, _, until_ms = struct.unpack('>I4I8I4I8dd', entry, 3)
  if ie ~= e or i_n ~= n or until_ms <= now then return result('gone', e, n) end
  touched[at] = true
  result('repeated', pe, pn)
end
local function append(at, e, n, accepted, until_ms, operation, payload)
  local log = logs[at]
  if not log then
    log = load_log(key_of(at, 1)) or new_log()
    if log.ox <= now then heal(log, key_of(at, 2)) end
    logs[at] = log
  end
  log.mid = math.max(log.mid + 1, accepted)
  local list = pending[at]
  if not list then
    list = {}
    pending[at] = list
  end
  list[#list + 1] = struct.pack('>BBI4I8I4I8dddI4', 1, operation < 0 and 0 or 1, e, n, log.he, log.hn, accepted,
    until_ms, log.mid, math.max(0, operation)) .. payload
  result('appended', log.he, log.hn)
  if log.count == 0 then log.oe, log.on, log.ox = e, n, until_ms end
  log.he, log.hn, log.used = e, n, now
  log.count, log.bytes = log.count + 1, log.bytes + #payload
  log.appended = true
  touched[at] = true
end
for _, record in ipairs(records) do
  local at, e, n, accepted, until_ms, operation, payload, digest, body = unpack(record)
  if le(e, n, mark_e, mark_n) then
    repeated(at, e, n)
  else
    mark_e, mark_n = e, n
    local kind, ke, kn
    if digest then
      if not keyed then forget_expired() end
      keyed = true
      kind, ke, kn = claim(digest, body, e, n)
    end
    if kind then result(kind, ke, kn)
    else append(at, e, n, accepted, until_ms, operation, payload) end
  end
end
if lt(mark_e, mark_n, upto_e, upto_n) then mark_e, mark_n = upto_e, upto_n end
local answer = {''}
for at, is_user in ipairs(users) do
  local log = logs[at]
  if log and log.appended then
    write(at)
    trim(log, key_of(at, 2), is_user == 1, nil)
    save_log(key_of(at, 1), log, is_user == 1)
    redis.call('PEXPIRE', key_of(at, 2), opt[is_user == 1 and 3 or 6] + 60000)
  end
  answer[at + 1] = touched[at] and is_user == 1 and redis.call('GET', key_of(at, 3)) or ''
end
redis.call('HSET', meta, 'epoch', mark_e, 'n', mark_n, 'bytes', bytes_kept)
answer[1] = cmsgpack.pack({1, mark_e, mark_n, results, counts(), bytes_kept, idempotency_expired})
return answer`,
);

/**
 * Marks of buckets that have nothing to apply, on a server that has them all. KEYS: meta of each. ARGV: packed lastSeen epoch,
 * n, upTo epoch, n of each. Returns packed 1 or, behind, 0, mark epoch, n of each.
 */
export const MARK = script(
  'mark-1',
  LOG,
  BEHIND,
  `
local given, answer = cmsgpack.unpack(ARGV[3]), {}
for at, meta in ipairs(KEYS) do
  local last_e, last_n, upto_e, upto_n = unpack(given, at * 4 - 3, at * 4)
  local stored = redis.call('HMGET', meta, 'epoch', 'n')
  local e, n = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
  local applied = not behind(meta, e, n, last_e, last_n)
  if applied and lt(e, n, upto_e, upto_n) then
    e, n = upto_e, upto_n
    redis.call('HSET', meta, 'epoch', e, 'n', n)
  end
  answer[at * 3 - 2], answer[at * 3 - 1], answer[at * 3] = applied and 1 or 0, e, n
end
return cmsgpack.pack(answer)`,
);

/**
 * KEYS: record, entries, meta. ARGV: after epoch, n, entries, bytes. Returns [packed [known, head epoch, n, mark epoch, n,
 * whether more is there], entries…]. Entries that expired are among them and count for nothing.
 */
export const READ = script(
  'read-1',
  LOG,
  `
local e, n, limit, bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local log = load_log(KEYS[1])
if not log then
  local mark = redis.call('HMGET', KEYS[3], 'epoch', 'n')
  return {cmsgpack.pack({0, 0, 0, tonumber(mark[1] or '0'), tonumber(mark[2] or '0'), 0})}
end
local answer, at, more = {''}, 0, 0
if lt(e, n, log.he, log.hn) then at = index_after(log, KEYS[2], e, n) else limit = 0 end
while limit > 0 and bytes > 0 do
  local chunk = redis.call('LRANGE', KEYS[2], at, at + math.min(limit, 64) - 1)
  if #chunk == 0 then break end
  for _, entry in ipairs(chunk) do
    if limit <= 0 or bytes <= 0 then break end
    at = at + 1
    answer[#answer + 1] = entry
    if struct.unpack('>d', entry, 35) > now then
      limit = limit - 1
      bytes = bytes - (#entry - ${ENTRY_BYTES})
    end
  end
end
if limit <= 0 or bytes <= 0 then more = redis.call('LLEN', KEYS[2]) > at and 1 or 0 end
answer[1] = cmsgpack.pack({1, log.he, log.hn, 0, 0, more})
return answer`,
);

/**
 * What maintenance does for a log: trims what expired, forgets what nobody used. KEYS: record, entries, sessions.
 * ARGV: 1 for a user's log. Returns packed [counts, 1 when the log is forgotten].
 */
export const TEND = script(
  'tend-1',
  LOG,
  `
local is_user = ARGV[3] == '1'
local log = load_log(KEYS[1])
if not log then return cmsgpack.pack({counts(), 0}) end
local went = trim(log, KEYS[2], is_user, nil)
local raw = redis.call('GET', KEYS[3])
local live = raw and #cmsgpack.unpack(raw)[1] > 0
if log.count == 0 and now - log.used >= opt[7] and not live then
  redis.call('DEL', KEYS[1], KEYS[2])
  return cmsgpack.pack({counts(), 1})
end
if went then save_log(KEYS[1], log, is_user) end
return cmsgpack.pack({counts(), 0})`,
);

/** Forgets idempotency keys that expired. KEYS: meta, idempotent, expiring. Returns packed [bytes, expired keys]. */
export const TIDY = script(
  'tidy-1',
  LOG,
  `
local meta, idempotent, expiring = KEYS[1], KEYS[2], KEYS[3]
local bytes_kept, room = tonumber(redis.call('HGET', meta, 'bytes') or '0'), 0
`,
  IDEMPOTENCY,
  `
local before = bytes_kept
if bytes_kept > 0 then forget_expired() end
if bytes_kept ~= before then redis.call('HSET', meta, 'bytes', bytes_kept) end
return cmsgpack.pack({bytes_kept, idempotency_expired})`,
);
