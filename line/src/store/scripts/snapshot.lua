-- Reads what positions are computed from: the keys of the first places, and knots behind them.
-- Guarantees: one moment of the line; changes nothing.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 absent
-- ARGV  1 epoch  2 places in the head  3 most knots
-- Returns { { in line, absent, called, active, joins, calls, claims, no shows, ended, clock,
--       birth, straight in },
--       { head keys }, { key, rank, … } }. Cost O((head + knots) · log n).
local meta, line = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local head_max, knots_max = tonumber(ARGV[2]), tonumber(ARGV[3])
local places = redis.call('ZCARD', line)

local function keys_between(first, last)
  local found = redis.call('ZRANGE', line, first, last, 'WITHSCORES')
  local keys = {}
  for i = 2, #found, 2 do
    keys[#keys + 1] = string.format('%.0f', tonumber(found[i]))
  end
  return keys
end

local head = keys_between(0, head_max - 1)
local knots = {}
if places > head_max then
  local span = places - head_max
  local steps = math.min(span, knots_max)
  for i = 0, steps do
    local rank = head_max - 1 + math.floor(span * i / steps)
    knots[#knots + 1] = keys_between(rank, rank)[1]
    knots[#knots + 1] = string.format('%.0f', rank)
  end
end
local counters = redis.call('HMGET', meta, 'joins', 'calls', 'claims', 'no_shows', 'ended', 'clock', 'born', 'standby_total')
for i = 1, 8 do
  counters[i] = counters[i] or '0'
end
return {
  {
    places + redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[6]),
    redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[5]), unpack(counters),
  },
  head, knots,
}
