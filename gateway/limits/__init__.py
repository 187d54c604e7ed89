"""How much at once and how much a minute: slots, quotas, budgets, retries, breakers.

limiter             what every limit of requests and tokens offers; gcra is how it counts
rate_limit          requests and tokens a minute, what an upstream's headers tell of its own limits, and a websocket's
                    messages a minute
plan_limits         when a limit of hours or days ends, as refusals say it
budget              USD and tokens of a client in a day and a month
admission, shares   slots of all requests, their queue, and a fair share for each client
concurrency_limit   slots of an upstream, learned from how it answers
per_address         connections and requests of one address
body_memory, shape  bytes of bodies; how many messages, parts and tools a request may have
retry_policy        what follows a failed attempt; retry_budget: how many retries an upstream gets
breaker, blame      stops what goes to an upstream that fails, unless a single client brings the failures about
"""
