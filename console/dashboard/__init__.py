"""The dashboard: one page for operators, with JSON for each of its panels.

`watch.py` observes each finished request. It keeps counts and the latest requests, all within limits: `window.py`
counts the last hour, `tallies.py` counts by model and client, and `cachewatch.py` finds out why prompt caches miss.
`panels.py` makes the JSON of the panels, `merging.py` joins that of all workers, and `pages.py` serves it;
console/stats.py shows it in a terminal. The page itself has no data and loads nothing from other servers. It is made
of the files in web/ when the proxy starts (`page.py`).
"""
