"""The client for upstreams, built on libcurl. Begin with client.py.

client         many exchanges over few connections; sockets: on the asyncio loop
handles        libcurl's handles, which are used again; prepared: one that keeps its options
request        what is asked, its timeouts, and the sinks that get the reply; exchange: one of them in flight
overdue        which timeout of one has expired
small_reply    a reply that is gathered whole; packed: one that came compressed
pool, way      settings of connections; how an upstream is reached; connections: which are open, and how many may be
               idle; prewarm: some before they are needed; http2: what libcurl says of a stream
readiness      which sockets are ready, on each system
names          looks up addresses; addresses: hands them to libcurl
failure, loss  why an exchange failed, and whether it may be sent again; hangup: what the kernel knows of it
"""
