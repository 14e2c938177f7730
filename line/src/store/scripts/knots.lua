-- Reads the order keys at some ranks of the line.
-- Guarantees: one moment of the line; changes nothing.
-- KEYS  1 meta  2 line
-- ARGV  1 epoch  2 ranks, ascending, as little-endian doubles
-- Returns the keys as little-endian doubles: that of the last place for a rank that the line does
--       not have any more, none when nobody is in line. Cost O(ranks · log n).
local line = KEYS[2]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local count = #ARGV[2] / 8
local ranks, keys = { struct.unpack('<' .. string.rep('d', count), ARGV[2]) }, {}
for i = 1, count do
  keys[i] = redis.call('ZRANGE', line, ranks[i], ranks[i], 'WITHSCORES')[2]
    or redis.call('ZRANGE', line, -1, -1, 'WITHSCORES')[2]
end
return struct.pack('<' .. string.rep('d', #keys), unpack(keys))
