-- Opens the room: keeps the snapshot of this moment, and lets no newcomer draw from now on.
-- Guarantees: the first snapshot stays.
-- KEYS  1 meta  2 opening
-- ARGV  1 epoch  2 snapshot
-- Returns 1. Cost O(size of the snapshot).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
redis.call('HSET', KEYS[1], 'opened', '1')
redis.call('SETNX', KEYS[2], ARGV[2])
return 1
