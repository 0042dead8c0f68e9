// Lua for the cursors of a user's devices: store/devices.ts and acknowledgedTo of store/retention.ts, where the log is.
//
//   [devices, forgotten, floor] in MessagePack, at the end of the log's record
//   device     [name, hash, cursor epoch, n, sentTo epoch, n, clean (0|1), lastSeen, opener, lineage]
//   forgotten  [hash, cursor epoch, n], the newest last; floor: [epoch, n], or false
//
// The opener is the session that opened the cursor last: the close of an earlier one, repeated late, says nothing of how
// that one ended.

/** How many forgotten devices of a user are remembered one by one. */
const FORGOTTEN_KEPT = 16;

/** Uses lua/log.ts and lua/sessions.ts. */
export const DEVICES = `
local function load_devices(log)
  if log.tail == '' then return {{}, {}, false} end
  return cmsgpack.unpack(log.tail)
end
local function save_devices(log, set) log.tail = cmsgpack.pack(set) end
-- Another one after every failover and restart of the server.
local function lineage()
  return string.sub(string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or '', 1, 12)
end
local function find_device(set, name)
  for at, one in ipairs(set[1]) do if one[1] == name then return one, at end end
end
-- Up to where everybody who counts has acknowledged, or nil.
local function acknowledged_to(set, sessions)
  local named, anonymous
  for _, one in ipairs(set[1]) do
    local cursor = {one[3], one[4]}
    if one[1] == '' then anonymous = cursor
    else named = named and earlier(named, cursor) or cursor end
  end
  local floor = named or anonymous
  if not floor then return nil end
  for _, one in ipairs(sessions) do
    if one[7] == 1 then floor = earlier(floor, {one[8], one[9]}) end
  end
  return floor
end
-- Up to where the device may have been sent entries.
local function sent(device, upto)
  local to = later({device[5], device[6]}, upto)
  device[5], device[6] = to[1], to[2]
end
-- A session is over and cannot say how far it got: everything may have been sent.
local function close_unknown(log, device)
  sent(device, {log.he, log.hn})
  device[7], device[8] = 0, now
end
local function take_forgotten(set, hash)
  for at, one in ipairs(set[2]) do
    if one[1] == hash then
      table.remove(set[2], at)
      return {one[2], one[3]}
    end
  end
  return set[3] or nil
end
-- At most so many named devices: the least recently seen goes, those with an open session last.
local function forget_excess(set, sessions, kept)
  local devices = set[1]
  while true do
    local named, chosen, chosen_open = 0, nil, true
    for at, one in ipairs(devices) do
      if one[1] ~= '' then
        named = named + 1
        if one[1] ~= kept then
          local open = is_open(sessions, one[1])
          local better = chosen == nil or (chosen_open and not open)
            or (chosen_open == open and one[8] < devices[chosen][8])
          if better then chosen, chosen_open = at, open end
        end
      end
    end
    if named <= math.max(1, opt[9]) or not chosen then return end
    local gone = table.remove(devices, chosen)
    forgotten = forgotten + 1
    set[2][#set[2] + 1] = {gone[2], gone[3], gone[4]}
    if #set[2] > ${FORGOTTEN_KEPT} then
      local oldest_one = table.remove(set[2], 1)
      local cursor = {oldest_one[2], oldest_one[3]}
      set[3] = set[3] and earlier(set[3], cursor) or cursor
    end
  end
end
-- Returns where reading starts and what may have been delivered before. given: the client's own position, or nil.
local function open_device(log, set, sessions, session, name, hash, given)
  local head = {log.he, log.hn}
  local busy = is_open(sessions, name, session)
  local device = find_device(set, name)
  if not device then
    local returned = name ~= '' and take_forgotten(set, hash) or nil
    local fresh = opt[10] == 1 and {log.te, log.tn} or head
    local start = earlier(given or returned or fresh, head)
    local past_unknown = returned ~= nil or (given ~= nil and not same(given, {0, 0}))
    local before = (past_unknown or busy) and head or start
    set[1][#set[1] + 1] = {name, hash, start[1], start[2], before[1], before[2], 0, now, session, lineage()}
    forget_excess(set, sessions, name)
    return start, before
  end
  local cursor = {device[3], device[4]}
  local before, known = head, lineage()
  if device[7] == 1 and device[10] == known and not busy then before = earlier(later({device[5], device[6]}, cursor), head) end
  -- A position that the client states counts as acknowledged as far as it was sent.
  if given then
    cursor = later(cursor, earlier(given, before))
    device[3], device[4] = cursor[1], cursor[2]
  end
  sent(device, before)
  device[7], device[8], device[9], device[10] = 0, now, session, known
  return earlier(given or cursor, head), before
end
`;
