-- Forgets the room: it was deleted.
-- Guarantees: a room of the same name that was made since, or is being made, stays as it is.
-- KEYS  all keys of the room, the first of them meta
-- ARGV  1 epoch
-- Returns 1 when there is nothing of it any more, else 0. Cost O(keys): Redis frees the places
--       beside its work.
local known, making = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'making'))
if tonumber(known or making or '0') > tonumber(ARGV[1]) then
  return 0
end
redis.call('UNLINK', unpack(KEYS))
return 1
