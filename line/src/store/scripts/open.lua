-- Opens the room: keeps the snapshot of this moment, and lets no newcomer draw from now on.
-- Guarantees: the first snapshot stays; a place that was not seen lately is dropped before the room
-- opens (PRESENT), and its connections are told; who was present counts as known only if this
-- server had the room all the time in which they may have been seen last.
-- KEYS  1 meta  2 opening  3 line  4 absent  5 notices
-- ARGV  1 epoch  2 snapshot  3 now_ms  4 how long ago who is present was last seen, ms, or '' if
--       all draw  5 most places that are dropped
-- Returns 1 if the room is open, 0 if places had to be dropped first. Cost O(size of the snapshot +
--       dropped · log n).
local meta = KEYS[1]
local epoch, opened, born_ms, kept_ms, key_server =
  unpack(redis.call('HMGET', meta, 'epoch', 'opened', 'born_ms', 'kept_ms', 'key_server'))
if epoch ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
if not opened and ARGV[4] ~= '' then
  local seen_since = tonumber(ARGV[3]) - tonumber(ARGV[4])
  local dropped = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', string.format('%.0f', seen_since),
    'LIMIT', 0, ARGV[5])
  for _, place in ipairs(dropped) do
    redis.call('ZREM', KEYS[4], place)
    redis.call('ZREM', KEYS[3], place)
  end
  if #dropped > 0 then
    -- An empty call: gateways of an older version, which do not know `look`, skip it.
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
      'seq', '0', 'until', '0', 'look', table.concat(dropped))
    return 0
  end
  -- The replication id is another one after every restart and every promotion.
  local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  local lost_ms = math.max(tonumber(born_ms or '0'), tonumber(kept_ms or '0'))
  if key_server == own and lost_ms <= seen_since then
    redis.call('HSET', meta, 'drawn_ms', ARGV[3])
  end
end
redis.call('HSET', meta, 'opened', '1')
redis.call('SETNX', KEYS[2], ARGV[2])
return 1
