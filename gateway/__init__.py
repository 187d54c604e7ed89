"""What happens to a request. Where to look:

endpoints   the table of paths: which object takes a request
runtime     what lives as long as the process; wiring makes its parts of the settings
flow/       one request: flow (the walk), its states, failover, attempts, lease, completion; ports: what it is given
routing/    a model's name -> upstreams, by conditions, in an order
limits/     slots, quotas, retries, breakers
http/       the client's side: listener, auth, headers, bodies, the writer of replies
pages/      what is answered without a model
stored/     responses and threads that the proxy keeps
websocket/  Responses over a websocket
observe/    the two events that observers are told, records, metrics, logs
process/    workers, reload, the banner

Imports run downward, and no two files import each other: endpoints, observe/live_metrics > runtime > websocket, pages,
observe > flow > stored > http > routing > limits. flow/info.py and flow/timing.py import nothing of the gateway: what
looks on may read them. process/ is beside all of these.
"""
