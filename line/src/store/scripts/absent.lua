-- Marks waiting places as absent since now. Places that do not wait are passed over.
-- Guarantees: every gateway is told, so that one that has a connection of theirs can say so: the
-- word of a connection that closed may come after that of the next one.
-- KEYS  1 meta  2 line  3 absent  4 notices
-- ARGV  1 epoch  2 now_ms  3… places
-- Returns how many were marked. Cost O(places · log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local marked = {}
for i = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[3], ARGV[2], ARGV[i])
    marked[#marked + 1] = ARGV[i]
  end
end
if #marked > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(marked))
end
return #marked
