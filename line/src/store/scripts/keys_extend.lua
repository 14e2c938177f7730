-- Lets a confirmed server give more live keys.
-- Guarantees: the limit never sinks; another term's limit stays as it is.
-- KEYS  1 meta
-- ARGV  1 epoch  2 term  3 clock of the last key
-- Returns 1 if the term is in force, else 0. Cost O(1).
local meta = KEYS[1]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local term, limit = unpack(redis.call('HMGET', meta, 'key_term', 'key_limit'))
if term ~= ARGV[2] then
  return 0
end
if tonumber(ARGV[3]) > tonumber(limit) then
  redis.call('HSET', meta, 'key_limit', ARGV[3])
end
return 1
