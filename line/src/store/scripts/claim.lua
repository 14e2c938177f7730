-- Turns a call into a session.
-- Guarantees: REDEEM-ONCE, a session there is stays as it is; a call past its deadline is no
-- session.
-- KEYS  1 meta  2 called  3 active  4 session  5 notices  6 outcomes
-- ARGV  1 epoch  2 now_ms  3 place  4 expires_ms
-- Returns { seq, started_ms, expires_ms }, or {} when there is neither. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local now, place = tonumber(ARGV[2]), ARGV[3]
local seq, started = string.match(redis.call('HGET', KEYS[4], place) or '0:0', '(%d+):(%d+)')
local expires = redis.call('ZSCORE', KEYS[3], place)
if expires then
  if tonumber(expires) <= now then
    return {}
  end
  return { seq, started, expires }
end
local claim_by = redis.call('ZSCORE', KEYS[2], place)
if not claim_by or tonumber(claim_by) <= now then
  return {}
end
redis.call('ZREM', KEYS[2], place)
redis.call('ZADD', KEYS[3], ARGV[4], place)
redis.call('HSET', KEYS[4], place, seq .. ':' .. ARGV[2])
redis.call('HINCRBY', KEYS[1], 'claims', 1)
redis.call('HSET', KEYS[6], place,
  'claimed:' .. (redis.call('HGET', KEYS[1], 'seq') or '0') .. ':' .. ARGV[4])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'kind', 'claimed',
  'places', place, 'seq', seq, 'started', ARGV[2], 'until', ARGV[4])
return { seq, ARGV[2], ARGV[4] }
