-- Counts something that the last page of an ended session loads.
-- Guarantees: nothing is granted before the page was taken, and no more than a page needs.
-- KEYS  1 meta  2 lastpages  3 lastpage
-- ARGV  1 epoch  2 now_ms  3 pass  4 the page that asks, empty where any part of it may
--       5 loads_max
-- Returns 'granted', 'refused', or 'none' when the pass has no such page. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
if not ends or tonumber(ends) <= tonumber(ARGV[2]) then
  return 'none'
end
local is_page = ARGV[4] == '' or redis.call('HGET', KEYS[3], ARGV[3]) == ARGV[4]
if not is_page or redis.call('HEXISTS', KEYS[3], ARGV[3] .. ':loads') == 0 then
  return 'refused'
end
if redis.call('HINCRBY', KEYS[3], ARGV[3] .. ':loads', 1) > tonumber(ARGV[5]) then
  return 'refused'
end
return 'granted'
