"""The dashboard: one page for operators, with JSON for each of its panels.

watch   observes each finished request, and keeps counts and the latest requests, all within limits
counts  window: the last hour; tallies: by model and client; spent: from the usage store
caches  cachewatch finds out why prompt caches miss; prefix: the parts of a prompt that they compare
panels  the JSON of the panels, of what a board holds; merging joins that of all workers; running: requests on their
        way; trouble: what is wrong now
pages   serves it; acts: what the buttons do; page: the files in web/ as one, when the proxy starts

The page itself has no data and loads nothing from other servers. console/stats.py shows the same in a terminal.
"""
