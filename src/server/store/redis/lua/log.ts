// Lua shared by the scripts that touch a log: its record, its entries, and what it lets go (store/retention.ts says the
// rules). A log has two keys: the record, which outlives everything else, and a list of entries, oldest first.
//
//   record   version u8 | head | trimmedTo | messages u32 | bytes f64 | lastMid f64 | usedAt f64
//            | oldest entry: id, expiresAt f64 | devices (MessagePack, lua/devices.ts)
//   entry    version u8 | flags u8 | id | prev | acceptedAt f64 | expiresAt f64 | mid f64 | operation u32 | payload
//   an id is epoch u32 | n u64; all big-endian
//
// A list of entries that Redis expired as a whole is noticed when the record asks for its oldest.

/** Bytes of a record before its devices, and of an entry before its payload. */
export const RECORD_BYTES = 73;
export const ENTRY_BYTES = 54;

/** Where fields of the two begin; ids are epoch, then n. */
export const RECORD_AT = {
  head: 1,
  trimmedTo: 13,
  messages: 25,
  bytes: 29,
  lastMid: 37,
  usedAt: 45,
  oldestExpires: 65,
};
export const ENTRY_AT = { flags: 1, id: 2, prev: 14, acceptedAt: 26, expiresAt: 34, mid: 42, operation: 50 };

/**
 * `now`, `opt` and the counts are set by who uses it. opt: messages, bytes, age of user logs; the same of rooms; how long
 * records are kept; how long idempotency is kept; devices a user; 1 for newDevice kept.
 */
export const LOG = `
local opt = cmsgpack.unpack(ARGV[2])
local now = time(ARGV[1])
local acknowledged, expired, capped, forgotten = 0, 0, 0, 0

local function le(ae, an, be, bn) return ae < be or (ae == be and an <= bn) end
local function lt(ae, an, be, bn) return ae < be or (ae == be and an < bn) end
-- Ids as {epoch, n}, where it is not hot.
local function earlier(a, b) if le(a[1], a[2], b[1], b[2]) then return a else return b end end
local function later(a, b) if le(a[1], a[2], b[1], b[2]) then return b else return a end end
local function same(a, b) return a[1] == b[1] and a[2] == b[2] end

local RECORD = '>BI4I8I4I8I4dddI4I8d'
local function load_log(key)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local log, at, version = {}, 1, 1
  version, log.he, log.hn, log.te, log.tn, log.count, log.bytes, log.mid, log.used, log.oe, log.on, log.ox, at =
    struct.unpack(RECORD, raw)
  log.tail = string.sub(raw, at)
  return log
end
local function new_log()
  return {he = 0, hn = 0, te = 0, tn = 0, count = 0, bytes = 0, mid = 0, used = now, oe = 0, on = 0, ox = 0, tail = ''}
end
local function save_log(key, log, is_user)
  local raw = struct.pack(RECORD, 1, log.he, log.hn, log.te, log.tn, log.count, log.bytes, log.mid, log.used,
    log.oe, log.on, log.ox)
  redis.call('SET', key, raw .. log.tail, 'PX', opt[7] + opt[is_user and 3 or 6])
end

local function entry_id(entry) return struct.unpack('>I4I8', entry, ${ENTRY_AT.id + 1}) end
local function oldest(log, entries)
  local first = redis.call('LINDEX', entries, 0)
  if first then
    log.oe, log.on = entry_id(first)
    log.ox = struct.unpack('>d', first, ${ENTRY_AT.expiresAt + 1})
  else
    log.count, log.bytes, log.oe, log.on, log.ox = 0, 0, 0, 0, 0
  end
end
-- Entries that expired all together, as Redis saw it, before anything is appended to what the record still counts.
local function heal(log, entries)
  if log.count > 0 and redis.call('EXISTS', entries) == 0 then
    expired = expired + log.count
    log.te, log.tn = log.he, log.hn
    oldest(log, entries)
  end
end
-- Lets go what is due, oldest first. ack: {epoch, n} up to where all who hold it have it, or nil. True: something went.
local function trim(log, entries, is_user, ack)
  local messages, bytes = opt[is_user and 1 or 4], opt[is_user and 2 or 5]
  local went = false
  while log.count > 0 do
    local held = not (ack and le(log.oe, log.on, ack[1], ack[2]))
    local fresh = log.ox > now
    local over = log.count > messages or (log.bytes > bytes and log.count > 1)
    if held and fresh and not over then break end
    local entry = redis.call('LPOP', entries)
    if not entry then
      heal(log, entries)
      return true
    end
    if not held then acknowledged = acknowledged + 1
    elseif not fresh then expired = expired + 1
    else capped = capped + 1 end
    went = true
    log.te, log.tn = log.oe, log.on
    log.count, log.bytes = log.count - 1, log.bytes - (#entry - ${ENTRY_BYTES})
    oldest(log, entries)
  end
  return went
end
-- How many entries of the list have an id at or below this one.
local function index_after(log, entries, e, n)
  if log.count == 0 or lt(e, n, log.oe, log.on) then return 0 end
  local low, high = 0, redis.call('LLEN', entries)
  if le(log.he, log.hn, e, n) then return high end
  while low < high do
    local middle = math.floor((low + high) / 2)
    local ie, at = entry_id(redis.call('LINDEX', entries, middle))
    if le(ie, at, e, n) then low = middle + 1 else high = middle end
  end
  return low
end
local function counts() return {acknowledged, expired, capped, forgotten} end
`;
