"""What happens to a request. Where to look:

endpoints   the table of paths: which object takes a request
runtime     what lives as long as the process; wiring makes its parts of the settings
flow/       one request: relay (in, out), trying and attempt (a reply for it), completion (every way it ends)
routing/    a model's name -> upstreams, by conditions, in an order
limits/     slots, quotas, retries, breakers
http/       the client's side: listener, auth, headers, bodies, the writer of replies
pages/      what is answered without a model
stored/     responses and threads that the proxy keeps
websocket/  Responses over a websocket
observe/    the two events that observers are told, records, metrics, logs
process/    workers, reload, the banner
"""
