-- Keeps where an ended session may still go.
-- Guarantees: a pass has one such page, the newest; entries that are over are removed in passing,
-- up to 100 a call, so that there are never more than one minute's ends.
-- KEYS  1 meta  2 lastpages  3 lastpage
-- ARGV  1 epoch  2 now_ms  3 pass  4 until_ms  5 target
-- Returns 1. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, 100)
for _, pass in ipairs(over) do
  redis.call('ZREM', KEYS[2], pass)
  redis.call('HDEL', KEYS[3], pass, pass .. ':loads')
end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[5])
redis.call('HDEL', KEYS[3], ARGV[3] .. ':loads')
return 1
