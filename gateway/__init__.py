"""What happens to a request: one file for each decision. Where to look:

the walk        door (which object takes a request), relay (in, out), trying and tries (a reply for it), ending
who, where      access, headers, outbound, envelope; routes, hints, peers; listing, counting
upstreams fail  attempt, budget, breaker, admission, adaptive, places, quota, refusing, rejoin
replies         answer, verbatim (same protocol; translate/ has the rest), cutting, lessons, kept
what is held    memory, recall, stored, asking, threads; session and frames (websocket); shared (over workers)
the process     service, parts, server, reload, siblings, greeting
what is seen    clock, records, recorder, gauges, lag, health, overview, handlers, quoting, rehearsal, dashboard, doctor
"""
