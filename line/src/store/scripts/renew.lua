-- Prolongs a session; never shortens it, never revives one that is over.
-- KEYS  1 meta  2 active  3 outcomes
-- ARGV  1 epoch  2 now_ms  3 place  4 expires_ms
-- Returns 1 if there is a session, else 0. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local expires = redis.call('ZSCORE', KEYS[2], ARGV[3])
if not expires or tonumber(expires) <= tonumber(ARGV[2]) then
  return 0
end
if redis.call('ZADD', KEYS[2], 'XX', 'GT', 'CH', ARGV[4], ARGV[3]) == 1 then
  redis.call('HSET', KEYS[3], ARGV[3],
    'claimed:' .. (redis.call('HGET', KEYS[1], 'seq') or '0') .. ':' .. ARGV[4])
end
return 1
