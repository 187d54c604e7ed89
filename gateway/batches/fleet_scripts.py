"""The Lua scripts of fleet_queue.py: each of them is one atomic step, by the clock of the server.

KEYS[1] is the base of all names; below it, where ID is that of a batch and a number has eight digits:

    open        ID -> its turn: batches that have not ended, the one that was served longest ago first
    held        "ID number" -> when the lease of its holder ends
    holders     "ID number" -> holder
    workers     holder -> when it was heard of last
    turn        the last turn
    ID          a hash: the fields of a Batch; done: results so far; n:OUTCOME: how many; rest: the outcome of those
                that were waiting when the batch was given up
    ID:rows     number -> "OUTCOME\nname as JSON\nrequest or result"; no OUTCOME = there is no result yet
    ID:waiting  number -> from when on it may be claimed; nobody has it
    ID:tries    number -> how often it was refused for now
"""

from __future__ import annotations

_HELPERS = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local base = KEYS[1]
local function key(id, part) return base .. ':' .. id .. (part or '') end
local function live(name, ms)
  if redis.call('PTTL', name) < tonumber(ms) then redis.call('PEXPIRE', name, string.format('%d', ms)) end
end
local function count(id, outcome, many)
  if many > 0 then
    redis.call('HINCRBY', key(id), 'n:' .. outcome, many)
    redis.call('HINCRBY', key(id), 'done', many)
  end
  local said = redis.call('HMGET', key(id), 'done', 'total', 'ended')
  if said[2] and tonumber(said[1]) >= tonumber(said[2]) and said[3] == '' then
    redis.call('HSET', key(id), 'ended', string.format('%.3f', now))
    redis.call('ZREM', key('open'), id)
    redis.call('DEL', key(id, ':waiting'), key(id, ':tries'))
  end
end
local function free(member)
  redis.call('ZREM', key('held'), member)
  redis.call('HDEL', key('holders'), member)
end
local function is_open(id, nth)
  local row = redis.call('HGET', key(id, ':rows'), nth)
  return row and string.sub(row, 1, 1) == '\\n' and row
end
local function give_up(id, outcome)
  redis.call('HSETNX', key(id), 'rest', outcome)
  local many = redis.call('ZCARD', key(id, ':waiting'))
  redis.call('DEL', key(id, ':waiting'))
  count(id, redis.call('HGET', key(id), 'rest'), many)
end
local function give_up_one(id, nth, row, rest)
  redis.call('HSET', key(id, ':rows'), nth, rest .. row)
  count(id, rest, 1)
end
"""

# ARGV: id, total, ms, turn of the owner's list; the owner's list is KEYS[2]. The rows are there.
OPEN = _HELPERS + """
local id = ARGV[1]
redis.call('HSET', key(id), 'total', ARGV[2], 'done', 0)
for _, part in ipairs({'', ':rows', ':waiting'}) do redis.call('PEXPIRE', key(id, part), ARGV[3]) end
redis.call('ZADD', key('open'), redis.call('INCR', key('turn')), id)
redis.call('ZADD', KEYS[2], ARGV[4], id)
for _, name in ipairs({key('open'), key('turn'), KEYS[2]}) do live(name, ARGV[3]) end
return 1
"""  # fmt: skip

# ARGV: holder, how many it has, how many all may have, ms of a lease, whether it takes over, ms of a worker.
# Gives id, number, row, tries; or nothing.
CLAIM = _HELPERS + """
local holder, own, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', now - ARGV[6] / 1000)
redis.call('ZADD', key('workers'), now, holder)
redis.call('PEXPIRE', key('workers'), ARGV[6])
local share = math.ceil(most / redis.call('ZCARD', key('workers')))
local function take(id, nth, row)
  local member = id .. ' ' .. nth
  redis.call('ZADD', key('held'), now + ARGV[4] / 1000, member)
  redis.call('HSET', key('holders'), member, holder)
  live(key('held'), 86400000)
  live(key('holders'), 86400000)
  return {id, nth, row, redis.call('HGET', key(id, ':tries'), nth) or 0}
end
if own >= share then return {} end
if ARGV[5] == '1' then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('held'), '-inf', now, 'LIMIT', 0, 100)) do
    local id, nth = string.match(member, '(%S+) (%S+)')
    local row, rest = is_open(id, nth), redis.call('HGET', key(id), 'rest')
    if row and not rest then return take(id, nth, row) end
    free(member)
    if row then give_up_one(id, nth, row, rest) end
  end
end
if redis.call('ZCARD', key('held')) >= most then return {} end
for _, id in ipairs(redis.call('ZRANGE', key('open'), 0, 199)) do
  local expires = redis.call('HGET', key(id), 'expires')
  if not expires then
    redis.call('ZREM', key('open'), id)
  elseif tonumber(expires) <= now then
    give_up(id, 'expired')
    redis.call('ZADD', key('open'), 'XX', redis.call('INCR', key('turn')), id)
  else
    redis.call('ZADD', key('open'), redis.call('INCR', key('turn')), id)
    local found = redis.call('ZRANGEBYSCORE', key(id, ':waiting'), '(0', now, 'LIMIT', 0, 1)
    if not found[1] then found = redis.call('ZRANGEBYSCORE', key(id, ':waiting'), 0, 0, 'LIMIT', 0, 1) end
    if found[1] then
      redis.call('ZREM', key(id, ':waiting'), found[1])
      local row = is_open(id, found[1])
      if row then return take(id, found[1], row) end
    end
  end
end
return {}
"""  # fmt: skip

# ARGV: holder, ms of a lease; then members.
KEEP = _HELPERS + """
for i = 3, #ARGV do
  if redis.call('HGET', key('holders'), ARGV[i]) == ARGV[1] then
    redis.call('ZADD', key('held'), 'XX', now + ARGV[2] / 1000, ARGV[i])
  end
end
live(key('held'), 86400000)
live(key('holders'), 86400000)
return 1
"""  # fmt: skip

# ARGV: id, number, row, outcome. Gives -1 where there is no such batch, 0 where there is a result.
ANSWERED = _HELPERS + """
local id, nth = ARGV[1], ARGV[2]
local member = id .. ' ' .. nth
if redis.call('EXISTS', key(id)) == 0 then free(member) return -1 end
if not is_open(id, nth) then return 0 end
if redis.call('HGET', key(id), 'rest') and not redis.call('ZSCORE', key('held'), member) then return 0 end
free(member)
redis.call('ZREM', key(id, ':waiting'), nth)
redis.call('HSET', key(id, ':rows'), nth, ARGV[3])
count(id, ARGV[4], 1)
return 1
"""  # fmt: skip

# ARGV: holder, id, number, seconds, tries.
POSTPONE = _HELPERS + """
local id, nth = ARGV[2], ARGV[3]
local member = id .. ' ' .. nth
if redis.call('HGET', key('holders'), member) ~= ARGV[1] then return 0 end
free(member)
local row, rest = is_open(id, nth), redis.call('HGET', key(id), 'rest')
if not row then return 0 end
if rest then give_up_one(id, nth, row, rest) return 1 end
local from = 0
if tonumber(ARGV[4]) > 0 then from = now + ARGV[4] end
redis.call('ZADD', key(id, ':waiting'), from, nth)
redis.call('HSET', key(id, ':tries'), nth, ARGV[5])
local ms = redis.call('PTTL', key(id))
for _, part in ipairs({':waiting', ':tries'}) do live(key(id, part), ms) end
return 1
"""  # fmt: skip

# ARGV: id, when.
CANCEL = _HELPERS + """
local id = ARGV[1]
if redis.call('HGET', key(id), 'ended') ~= '' or redis.call('HGET', key(id), 'cancelled') ~= '' then return 0 end
redis.call('HSET', key(id), 'cancelled', ARGV[2])
give_up(id, 'canceled')
return 1
"""  # fmt: skip

# ARGV: id. KEYS[2]: the owner's list.
DELETE = _HELPERS + """
local id = ARGV[1]
redis.call('ZREM', key('open'), id)
redis.call('ZREM', KEYS[2], id)
return redis.call('DEL', key(id), key(id, ':rows'), key(id, ':waiting'), key(id, ':tries'))
"""  # fmt: skip

# Gives id, client, form, total, done, errored, created, running of each batch that has not ended.
TEND = _HELPERS + """
local running = {}
for _, member in ipairs(redis.call('ZRANGE', key('held'), 0, -1)) do
  local id = string.match(member, '%S+')
  running[id] = (running[id] or 0) + 1
end
local told = {}
for _, id in ipairs(redis.call('ZRANGE', key('open'), 0, 999)) do
  local expires = redis.call('HGET', key(id), 'expires')
  if not expires then redis.call('ZREM', key('open'), id)
  elseif tonumber(expires) <= now then give_up(id, 'expired') end
  local said = redis.call('HMGET', key(id), 'client', 'form', 'total', 'done', 'n:errored', 'created', 'ended')
  if said[7] == '' then
    told[#told + 1] = {id, said[1], said[2], said[3], said[4], said[5] or 0, said[6], running[id] or 0}
  end
end
return told
"""  # fmt: skip

ALL = (OPEN, CLAIM, KEEP, ANSWERED, POSTPONE, CANCEL, DELETE, TEND)
