-- Renews the lease under which a gateway stands for the presence of its fans.
-- Guarantees: a gateway without entries has no lease; entries added meanwhile are kept.
-- KEYS  1 meta  2 gateways  3 the gateway's list
-- ARGV  1 epoch  2 now_ms  3 gateway  4 how many of the oldest entries are forgotten
-- Returns how many entries it has. Cost O(entries forgotten + log gateways).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
if tonumber(ARGV[4]) > 0 then
  redis.call('LTRIM', KEYS[3], ARGV[4], -1)
end
local entries = redis.call('LLEN', KEYS[3])
if entries == 0 then
  redis.call('ZREM', KEYS[2], ARGV[3])
else
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
end
return entries
