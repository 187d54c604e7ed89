"""The gateway: what happens to a request. Its folders and files:

endpoints   the table of paths: which object handles a request runtime     the objects that live as long as the process;
wiring makes some of them from the settings flow/       one request: flow (its whole way), states, failover, attempts,
lease, completion; ports: what a flow uses routing/    from the name of a model to upstreams, by conditions and in an
order limits/     slots, quotas, retries, breakers http/       the client's side: listener, auth, headers, bodies, the
response writer pages/      requests that need no model cache/      replies that are given again or
shared stored/     the responses and threads that the proxy keeps websocket/  OpenAI Responses over a websocket
observe/    the two events for observers, records, metrics, logs process/ worker RPC, reload, the banner

Imports run downward, and no two files import each other: endpoints, observe/live_metrics > runtime > websocket, pages,
observe > flow, cache > stored > http > routing > limits. flow/info.py and flow/timing.py import nothing of the
gateway, so that observers may read them. process/ is beside all of these.
"""
