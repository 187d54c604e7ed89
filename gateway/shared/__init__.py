"""The state that the workers of a host, or of a fleet, have in common. Begin with store.py.

store        the interface; memory_store, sqlite_store and redis_store are behind it, and shared says which one it is
redis_store  with redis_link (finds the server), redis_wire (one connection), redis_scripts (its Lua) and redis_clues
             (what an operator is told of a URL that does not fit its server)
patience     how long a caller waits for it
limits       shared_quota, shared_budgets and slot_leases are counted there
gossip       what one worker learns and tells the others; rounds: what is done again and again
"""
