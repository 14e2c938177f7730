-- Confirms this server: from now on it gives the live keys of a range that no other has.
-- Guarantees: the clock never goes back; a term that is not newer changes nothing. Where another
-- server was confirmed before, calls keep to the keys that the room has, until those whose later
-- keys were lost can be back (NO-LOSS).
-- KEYS  1 meta
-- ARGV  1 epoch  2 term  3 clock before the first key  4 clock of the last key
--       5 1 if the first is ahead of the time, else 0  6 most lifts that are remembered  7 now_ms
--       8 calls keep to the room's keys until ms
-- Returns 1 if confirmed, else 0. Cost O(lifts).
local meta = KEYS[1]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local term, clock, lifts, server, kept_key, kept_ms =
  unpack(redis.call('HMGET', meta, 'key_term', 'clock', 'key_lifts', 'key_server', 'kept_key', 'kept_ms'))
if tonumber(term or '0') >= tonumber(ARGV[2]) then
  return 0
end
if ARGV[5] == '1' then
  local kept = {}
  for lift in string.gmatch(lifts or '', '%d+') do
    kept[#kept + 1] = lift
  end
  kept[#kept + 1] = ARGV[3]
  local first = math.max(1, #kept - tonumber(ARGV[6]) + 1)
  redis.call('HSET', meta, 'key_lifts', table.concat(kept, ' ', first))
end
local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if server and server ~= own then
  local newest = string.format('%.0f', 4503599627370496 + tonumber(clock))
  if tonumber(kept_ms or '0') > tonumber(ARGV[7]) and tonumber(kept_key) < tonumber(newest) then
    newest = kept_key
  end
  redis.call('HSET', meta, 'kept_key', newest, 'kept_ms', ARGV[8])
end
if tonumber(ARGV[3]) > tonumber(clock) then
  redis.call('HSET', meta, 'clock', ARGV[3])
end
redis.call('HSET', meta, 'key_server', own, 'key_term', ARGV[2], 'key_limit', ARGV[4])
return 1
