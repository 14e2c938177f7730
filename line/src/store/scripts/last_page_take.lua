-- Takes the one visit of the page that an ended session may still go to.
-- Guarantees: of all who ask, at whatever gateway, one gets it, for exactly that page.
-- KEYS  1 meta  2 lastpages  3 lastpage
-- ARGV  1 epoch  2 now_ms  3 pass  4 target
-- Returns 'granted', 'refused', or 'none' when the pass has no such page. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
if not ends or tonumber(ends) <= tonumber(ARGV[2]) then
  return 'none'
end
if redis.call('HGET', KEYS[3], ARGV[3]) ~= ARGV[4] then
  return 'refused'
end
if redis.call('HSETNX', KEYS[3], ARGV[3] .. ':loads', 0) == 0 then
  return 'refused'
end
return 'granted'
