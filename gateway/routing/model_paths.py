"""Names of models that must not stand in an upstream's address.

Gemini, Bedrock, Vertex and Azure's older addresses contain the name, encoded. A server that decodes it, once or twice,
and then puts the path in order, as some reverse proxies do, must not be led to another place of the upstream.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MOST_DECODED = 2  # times

# A segment of dots alone, also with parameters behind it, and what has no place in a path at all.
_ASTRAY = re.compile(r"(?:^|[/\\])\.+(?:[/\\;?#]|$)|[\x00-\x1f\x7f\ufffd]")


def leads_astray(model: str) -> bool:
    for _ in range(MOST_DECODED + 1):
        if _ASTRAY.search(model):
            return True
        if "%" not in model:
            break
        model = unquote(model)
    return False
