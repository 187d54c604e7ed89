"""Not asking twice: replies that are kept, and one upstream request for all who ask the same at the same time.

cache      both of these, for a request; question: what it asks of the cache
keys       which requests may share a reply, and the key; judgement: whether a reply is worth keeping
entries    the replies in this process; fleet: those in the shared store
broadcast  one reply for several requests
"""
