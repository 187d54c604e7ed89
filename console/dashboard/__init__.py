"""What an operator looks at: one page, the JSON behind each of its panels, and the same in a terminal.

`watch.py` observes each finished request. It keeps counts, all of them bounded, and the latest requests as they are:
`window.py` counts the last hour, `tallies.py` counts by model and client. `cachewatch.py` sees why prompt caches miss.
`panels.py` makes of this what is shown, `merging.py` joins what all worker processes say, and `pages.py` serves it;
`stats.py` shows it in a terminal. The page itself holds no data and asks nobody but this proxy. It is put together from
page.html, page.css and page.js when the proxy starts.
"""
