"""The page of the dashboard: the files in web/ as one, with the policy that lets nothing else in.

There is no build step: each file has one idea, and all scripts share one scope, in the order of SCRIPTS. The page's
Content-Security-Policy allows only the styles and scripts that were in it when the proxy started, by their hashes, and
requests to this proxy. Data is put into the page as text only. uplot/ is a library of others, unchanged; its
SOURCE.txt says from where.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from pathlib import Path

from msgspec import Struct

WEB = Path(__file__).parent / "web"
STYLES = ("uplot/uPlot.min.css", "page.css", "tables.css", "charts.css")
SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    *("dom.js", "words.js", "ask.js", "aim.js", "table.js", "chart.js"),
    *("now.js", "trouble.js", "running.js", "upstreams.js", "series.js", "spent.js", "story.js", "requests.js"),
    *("usage.js", "caches.js", "settings.js"),
    "rounds.js",
)


class Page(Struct, frozen=True):
    """policy: its Content-Security-Policy."""

    whole: bytes
    policy: str


@functools.cache
def made() -> Page:
    styles = [WEB.joinpath(name).read_text("utf-8") for name in STYLES]
    scripts = [WEB.joinpath(name).read_text("utf-8") for name in SCRIPTS]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digests(scripts)}",
            f"style-src {_digests(styles)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ]
    )
    html = WEB.joinpath("page.html").read_text("utf-8")
    for mark, tag, texts in (("<!-- styles -->", "style", styles), ("<!-- scripts -->", "script", scripts)):
        html = html.replace(mark, "\n".join(f"<{tag}>{text}</{tag}>" for text in texts))
    return Page(html.encode(), policy)


@functools.cache
def packed() -> bytes:
    """The same with gzip: some milliseconds' work for the first who looks, and not for each start."""
    return gzip.compress(made().whole, 9, mtime=0)


def _digests(texts: list[str]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)
