"""Says in plain words why a Redis server cannot be used, and what in [shared] url is to be changed.

What redis-py and servers say of it names neither: a sentinel knows no scripts, a server of a cluster says MOVED, and
who speaks TLS where the server does not meets silence or a lost connection.
"""

from __future__ import annotations

import re

_ARGUMENTS = re.compile(r",? with args beginning with:.*", re.DOTALL)  # of a command that is not known: a whole script
_CLUES = tuple(
    (re.compile(pattern, re.IGNORECASE), clue)
    for pattern, clue in (
        ("^MOVED|^ASK ", "it is one of a cluster; write redis+cluster:// in [shared] url"),
        ("cluster mode is not enabled|cluster support disabled", "write redis:// in [shared] url"),
        ("list index out of range|hash slot not served", "no server of the cluster has its slots"),
        ("unknown command .?sentinel", "it is no sentinel; write redis:// in [shared] url"),
        ("unknown command .?(script|evalsha)", "it is a sentinel, for which redis+sentinel://HOST/SERVICE is written "
         "in [shared] url, or a server whose scripts are switched off"),
        ("db index is out of range", "the number behind the host in [shared] url is that of a database"),
        ("without any password configured|authentication required|^NOAUTH|invalid username-password|^WRONGPASS",
         "the user and password are those of [shared] url: redis://USER:PASSWORD@HOST"),
        ("certificate verify failed", "?ssl_ca_certs=FILE in [shared] url names the CA"),
        ("unexpected keyword argument", "no such option is possible in [shared] url"),
    )
)  # fmt: skip
_NO_WORD = re.compile("timeout|timed out|while reading|closed by server|does not answer", re.IGNORECASE)
TLS = "[shared] url says that it speaks TLS; if not, redis:// is written"
NO_TLS = "[shared] url says that it speaks no TLS; if it does, rediss:// is written"


def explained(error: Exception, url: str) -> str:
    """error: of connecting, or of the first commands. url: where to."""
    said = _ARGUMENTS.sub("", str(error).strip() or type(error).__name__).rstrip(". ")
    if isinstance(error, TimeoutError):
        said = "it does not answer"
    for pattern, clue in _CLUES:
        if pattern.search(said):
            return f"{said} ({clue})"
    if _NO_WORD.search(said) and not url.startswith("unix:"):
        return f"{said} ({TLS if url.startswith('rediss') else NO_TLS})"
    return said
