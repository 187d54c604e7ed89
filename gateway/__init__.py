"""The gateway: what happens to a request. Its folders and files:

endpoints     the table of paths: which object handles a request
runtime       the objects that live as long as the process; wiring makes some of them from the settings
in_flight     the requests that are on their way, and how they end at a shutdown
flow/         one request: flow (its whole way), states, failover, attempts, lease, completion; sharing: of its answer
              with others; ports: what a flow uses
passing/      replies that pass through as their upstream sends them: what is watched, held back, cleaned
refusals/     what upstreams' refusals say, and what they teach
counting/     how many tokens a text has: learned, or counted exactly
routing/      from the name of a model to upstreams, by conditions and in an order; which models there are
limits/       slots, quotas, budgets, retries, breakers
http/         the client's side: listener, auth, headers, bodies, the response writer
credentials/  the keys that upstreams are asked with, as far as they are made here: Google's, AWS's, of a command
hooks/        services and Python files that check or change requests and replies
relay/        requests whose bodies pass through as they come: files, audio, images
batches/      many requests that are answered when there is room for them
cache/        replies that are given again or shared
stored/       the responses and threads that the proxy keeps
shared/       the shared store: what workers and hosts know together
websocket/    OpenAI Responses over a websocket
pages/        requests that need no model
observe/      the two events for observers, records, metrics, logs
process/      worker RPC, gossip's topics, reload, upgrade, the banner

Imports run downward, and no two files import each other: endpoints, observe/live_metrics, pages, websocket, relay and
batches > runtime > in_flight, observe > flow, cache > passing, refusals, counting, routing, stored > http > limits.
flow/info.py and flow/timing.py import nothing of the gateway, so that observers may read them. process/ is beside all
of these.
"""
