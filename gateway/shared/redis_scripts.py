"""The Lua scripts of redis_store.py: each method of the store that is more than one command of Redis.

A script runs as one atomic step. Its clock is the server's, so that the clocks of the hosts do not matter. The
arithmetic of BOUND is that of gcra.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_NOW = "local t = redis.call('TIME') local now = t[1] + t[2] / 1e6 "

# ARGV[1]: "take" or "charge". Then for each key: "per_minute units pause full opens more", full and opens from now on.
BOUND = (
    _NOW
    + """
local stored = redis.call('MGET', unpack(KEYS))
local cells, wait, asked, leased = {}, 0, 0, true
for i, key in ipairs(KEYS) do
  local n = {}
  for word in string.gmatch(ARGV[i + 1], '%S+') do n[#n + 1] = tonumber(word) end
  local limit, units, full, opens = n[1], n[2], now + n[4], now + n[5]
  if stored[i] then
    full, opens = string.match(stored[i], '(%S+) (%S+)')
    full, opens = tonumber(full), tonumber(opens)
  end
  local rate = limit / 60
  local used = math.max(0, full - math.max(now, opens)) * rate
  local lacking = math.min(units, limit) - (limit - used)
  if lacking > limit * 1e-6 then wait = math.max(wait, math.max(0, opens - now) + lacking / rate) end
  asked = asked + n[6]
  if units + n[6] > limit or units + n[6] - (limit - used) > limit * 1e-6 then leased = false end
  cells[i] = {full, opens, rate, used, units, n[3], limit, n[6]}
end
leased = leased and asked > 0 and wait == 0 and ARGV[1] == 'take'
local said = {}
for i, key in ipairs(KEYS) do
  local full, opens, rate, used, units, pause, limit, more = unpack(cells[i])
  if leased then units = units + more end
  local is_charged = wait == 0 or ARGV[1] == 'charge'
  if is_charged then
    if used <= limit * 1e-6 then opens = now + pause else opens = math.max(opens, now) end
    full = opens + math.max(0, used + units) / rate
  end
  if is_charged or (not stored[i] and full > now) then
    local ttl = math.ceil((full - now) * 1000) + 60000
    redis.call('SET', key, string.format('%.17g %.17g', full, opens), 'PX', string.format('%d', ttl))
  end
  said[i] = string.format('%.6f %.6f', full - now, opens - now)
end
if ARGV[1] == 'charge' then wait = 0 end
return string.format('%.9f %d ', wait, leased and 1 or 0) .. table.concat(said, ' ')
"""
)

# ARGV: ms, the number of least sums; then name and amount by turns, of the least ones first.
ADD = """
local least = 2 + 2 * ARGV[2]
for i = 3, #ARGV, 2 do
  if i > least then
    redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1])
  elseif tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '-inf') < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
if #ARGV > 2 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
"""

# ARGV: ms, most rows; then name and row by turns. The hash has name -> "first second ...".
RAISE_TOTALS = """
local many = redis.call('HLEN', KEYS[1])
for i = 3, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known then
    local before, now = tonumber(string.match(known, '%S+')), tonumber(string.match(ARGV[i + 1], '%S+'))
    if before < now then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  elseif many < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    many = many + 1
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return many
"""

# ARGV: value, ms.
EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

# ARGV: value.
DELETE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

# ARGV: holder, wanted, limit, ms. The hash has holder -> "granted wanted until".
SLOTS = (
    _NOW
    + """
local held, lacking = 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local granted, wanted, til = string.match(all[i + 1], '(%S+) (%S+) (%S+)')
  if all[i] == ARGV[1] or tonumber(til) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    held = held + granted
    lacking = lacking + math.max(0, wanted - granted)
  end
end
local wanted = tonumber(ARGV[2])
local granted = math.max(0, math.min(wanted, ARGV[3] - held))
if wanted > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d %.3f', granted, wanted, now + ARGV[4] / 1000))
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
end
return {granted, lacking}
"""
)

# KEYS: key -> value; key -> version; key -> when it expires; the version. ARGV: key, value, ms, most entries.
PUBLISH = (
    _NOW
    + """
local version = redis.call('INCR', KEYS[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], version, ARGV[1])
redis.call('ZADD', KEYS[3], now + ARGV[3] / 1000, ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)
local many = redis.call('ZCARD', KEYS[2]) - ARGV[4]
if many > 0 then for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, many - 1)) do gone[#gone + 1] = key end end
for _, key in ipairs(gone) do
  redis.call('HDEL', KEYS[1], key) redis.call('ZREM', KEYS[2], key) redis.call('ZREM', KEYS[3], key)
end
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
end
return version
"""
)

# The same KEYS. ARGV: the version that is known.
NEWS = (
    _NOW
    + """
local version = tonumber(redis.call('GET', KEYS[4]) or 0)
local since = tonumber(ARGV[1])
if since > version then since = 0 end
local said = {version}
if since == version then return said end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%d', since), '+inf')) do
  local til = tonumber(redis.call('ZSCORE', KEYS[3], key) or 0)
  local value = redis.call('HGET', KEYS[1], key)
  if til > now and value and (value ~= '' or since > 0) then
    said[#said + 1] = key said[#said + 1] = value said[#said + 1] = string.format('%.3f', til - now)
  end
end
return said
"""
)

# KEYS: one that nobody has. It is written, and is gone again.
ROOM = "redis.call('SET', KEYS[1], '', 'PX', 1) return redis.call('DEL', KEYS[1])"

ALL = (BOUND, ADD, RAISE_TOTALS, EXTEND, DELETE, SLOTS, PUBLISH, NEWS)
_SHA: dict[str, bytes] = {}


def call(script: str, keys: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """The command that runs a script which the server has."""
    sha = _SHA.get(script)
    if sha is None:
        sha = _SHA[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest().encode()
    count = len(keys) + len(words) + 3
    head = b"*%d\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n%d\r\n" % (count, sha, len(keys))
    return head + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in (*keys, *words)])
