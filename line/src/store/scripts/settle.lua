-- Forgets outcomes that are written down for good, unless they have changed since.
-- KEYS  1 meta  2 outcomes
-- ARGV  1 epoch  then for each: place, text
-- Returns 1. Cost O(outcomes).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
return 1
