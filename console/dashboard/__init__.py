"""What an operator looks at: one page, the JSON behind each of its panels, and the same in a terminal.

`watch.py` is told of each finished request and keeps counts of it, all of them bounded: `window.py` of the last hour,
`tallies.py` by model and client, `story.py` the latest requests as they are. `cachewatch.py` sees why prompt caches
miss. `panels.py` makes what is shown of it, `merging.py` across all worker processes, `pages.py` serves it; `stats.py`
is the terminal's. The page itself holds no data, asks nobody but this proxy, and is put together from page.html,
page.css and page.js when the proxy starts.
"""
