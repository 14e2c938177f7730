-- Claims the making of the room at its epoch, or of what it lacks of the durable log.
-- Guarantees: an older epoch is wiped, a later one is never touched; a room that is there stays as
-- it is; one that another process left half made keeps what it has; a process that makes the room is
-- not disturbed unless it was silent for long.
-- KEYS  1 meta  and all other keys of the room, the lists of gateways among them
-- ARGV  1 epoch  2 process  3 now_ms  4 longest silence ms
-- Returns the ordinal up to which the room has the log. Cost O(keys): Redis frees the places beside
--       its work.
local known, making, maker, heard_ms, seq =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'making', 'loading', 'loading_ms', 'seq'))
local at = known or making
if tonumber(at or '0') > tonumber(ARGV[1]) then
  return redis.error_reply('NOROOM the room is at a later epoch')
end
if at ~= ARGV[1] then
  redis.call('UNLINK', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'making', ARGV[1], 'clock', '0', 'seq', '0')
  seq = '0'
elseif maker and maker ~= ARGV[2] and tonumber(ARGV[3]) < tonumber(heard_ms or '0') + tonumber(ARGV[4]) then
  return redis.error_reply('NOROOM another process makes the room')
end
redis.call('HSET', KEYS[1], 'loading', ARGV[2], 'loading_ms', ARGV[3])
return tonumber(seq or '0')
