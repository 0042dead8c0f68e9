// Lua for idempotency records of a bucket: a hash from a key's digest to what its push became, and a queue of the same in
// the order in which they expire: all live equally long. How many bytes they take is counted per bucket; the room that the
// others leave is told by the caller.

/** What a record costs beside its digest and its body's hash, in bytes: both structures, on the safe side. */
const OVERHEAD = 256;
/** Expired ones that a call forgets at most. */
const STEP = 200;

/** Uses `now`, `opt`, `idempotent` (the hash), `expiring` (the queue), `bytes_kept` and `room`. */
export const IDEMPOTENCY = `
local idempotency_expired = 0
local function forget_expired()
  for _ = 1, ${STEP} do
    local first = redis.call('LINDEX', expiring, 0)
    if not first then
      bytes_kept = 0
      return
    end
    local until_ms, charge, digest = unpack(cmsgpack.unpack(first))
    if until_ms > now then return end
    redis.call('LPOP', expiring)
    bytes_kept = bytes_kept - charge
    idempotency_expired = idempotency_expired + 1
    local kept = redis.call('HGET', idempotent, digest)
    -- A key that was used again meanwhile has a newer record.
    if kept and cmsgpack.unpack(kept)[4] == until_ms then redis.call('HDEL', idempotent, digest) end
  end
end
-- Nil: go on and append. Else a kind of result, with the id of a duplicate.
local function claim(digest, body, e, n)
  local kept = redis.call('HGET', idempotent, digest)
  if kept then
    local ke, kn, kbody, until_ms = unpack(cmsgpack.unpack(kept))
    if until_ms > now then
      if kbody ~= body then return 'mismatch', 0, 0 end
      return 'duplicate', ke, kn
    end
  end
  local charge = ${OVERHEAD} + #digest + #body
  if bytes_kept + charge > room then return 'full', 0, 0 end
  bytes_kept = bytes_kept + charge
  local until_ms = now + opt[8]
  redis.call('HSET', idempotent, digest, cmsgpack.pack({e, n, body, until_ms}))
  redis.call('RPUSH', expiring, cmsgpack.pack({until_ms, charge, digest}))
  redis.call('PEXPIRE', idempotent, opt[8] + 60000)
  redis.call('PEXPIRE', expiring, opt[8] + 60000)
end
`;
