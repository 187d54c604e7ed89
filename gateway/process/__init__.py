"""The process around the gateway.

banner      what is printed at the start; mistakes: what is most likely wrong in the settings
reload      takes over changed settings; upgrade: another process takes over
worker_rpc  workers ask each other; topics: what gossip tells them; drains: upstreams that get no new requests
watch       signs of life for the supervisor; side_thread: long work beside the loop
"""
