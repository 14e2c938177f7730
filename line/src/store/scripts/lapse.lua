-- Marks fans of a gateway whose lease has ended as absent.
-- Guarantees: a gateway that was renewed meanwhile keeps its fans; every gateway is told, so that
-- one that has another connection of theirs can say so; a mark there is stays as it is.
-- KEYS  1 meta  2 line  3 absent  4 notices  5 gateways  6 the gateway's list
-- ARGV  1 epoch  2 fence  3 gateway  4 its lease has ended if last renewed at this ms or before
--       5 its fans were not last seen before this ms  6 most entries
-- Returns how many were marked. Cost O(entries · log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local renewed = tonumber(redis.call('ZSCORE', KEYS[5], ARGV[3]) or '')
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[2] or not renewed or renewed > tonumber(ARGV[4]) then
  return 0
end
local seen = string.format('%.0f', math.max(renewed, tonumber(ARGV[5])))
local marked = {}
for _, key in ipairs(redis.call('LPOP', KEYS[6], ARGV[6]) or {}) do
  -- Nobody, when the place was called, left, or came back with another key.
  for _, place in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], key, key)) do
    if redis.call('ZADD', KEYS[3], 'NX', seen, place) == 1 then
      marked[#marked + 1] = place
    end
  end
end
if redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[3])
end
if #marked > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(marked))
end
return #marked
