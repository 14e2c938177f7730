-- Marks waiting places as absent since now. Places that do not wait are passed over.
-- KEYS  1 meta  2 line  3 absent
-- ARGV  1 epoch  2 now_ms  3… places
-- Returns how many were marked. Cost O(places · log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local marked = 0
for i = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[3], ARGV[2], ARGV[i])
    marked = marked + 1
  end
end
return marked
