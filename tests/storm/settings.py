"""The settings of the proxy in the storm, and the hook that they name."""

from __future__ import annotations

KEYS = {name: f"{name}-client-key-00001" for name in ("ann", "bob", "cat", "dan", "eve")}
MODELS = "mnoprsthi"  # those of conversations

SETTINGS = """
[server]
port = {port}
workers = {workers}
idle_timeout = 10
ping_seconds = 0.3
drain_seconds = 5
upgrade_seconds = 15
metrics = open
[timeouts]
connect = 1
first_byte = 2
idle = 2
request = 6
stream = 10
[retry]
backoff = 0.05
max_backoff = 0.3
max_retry_after = 1
hedge = p
rejoin_seconds = 2
deadline = 8
[breaker]
cooldown = 0.5
max_cooldown = 1
[admission]
max_concurrent = {concurrent}
queue = 100
queue_seconds = 3
[responses]
store_entries = 200
[cache]
models = s, t
coalesce = s
seconds = 4
[batches]
embeddings_ms = 5
[logging]
dir = {logs}
tags = *
[shared]
url = {redis}
[prices]
* = 3, 15
[upstream a]
protocol = chat
base_url = {a}
api_key = {key}
max_concurrent = 12
[upstream b]
protocol = messages
base_url = {b}
keys = b-key-1, b-key-2
adaptive = true
[upstream c]
protocol = responses
base_url = {c}
[upstream d]
protocol = gemini
base_url = {d}
[models]
a = a
e = a
speech = a
m = a, b, c
n = b | c | d, a
o = d, c
p = a, b
r = c
s = b, a
t = a
h = a, b
i = b, c
[hook guard]
python = {hook}
models = h
timeout = 1
streams = hold
[hook late]
python = {hook}
models = i
timeout = 1
streams = after
fail = open
[client ann]
key = ann-client-key-00001
admin = true
[client bob]
key = bob-client-key-00001
usd_per_day = 1000
tokens_per_day = 1000000000
[client cat]
key = cat-client-key-00001
requests_per_minute = 2000
tokens_per_minute = 10000000
[client dan]
key = dan-client-key-00001
usd_per_day = {budget}
[client eve]
key = eve-client-key-00001
requests_per_minute = 300
"""

HOOK = """
import asyncio, random


async def judge(event):
    what = random.random()
    await asyncio.sleep(random.random() * 0.05)
    if what < 0.04:
        return {"action": "refuse", "message": "by lot", "status": 403}
    if what < 0.06:
        raise ValueError("by lot")
    if what < 0.08:
        await asyncio.sleep(3)
    return None


request = reply = judge
"""
