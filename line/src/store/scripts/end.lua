-- Ends a session, or takes back a call, before its time.
-- Guarantees: the slot is free at once; ending twice is harmless.
-- KEYS  1 meta  2 called  3 active  4 session  5 notices  6 outcomes
-- ARGV  1 epoch  2 place
-- Returns 1 if there was one, else 0. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local place = ARGV[2]
local ordinal = string.match(redis.call('HGET', KEYS[4], place) or '0:0', '(%d+):')
if redis.call('ZREM', KEYS[3], place) == 1 then
  redis.call('HINCRBY', KEYS[1], 'ended', 1)
elseif redis.call('ZREM', KEYS[2], place) == 1 then
  redis.call('HINCRBY', KEYS[1], 'given_back', 1)
else
  return 0
end
redis.call('HDEL', KEYS[4], place)
redis.call('HSET', KEYS[6], place, 'ended:' .. (redis.call('HGET', KEYS[1], 'seq') or '0') .. ':0')
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'kind', 'ended', 'places', place,
  'seq', ordinal)
return 1
