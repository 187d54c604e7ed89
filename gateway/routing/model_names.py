"""Names of models as clients say them: as a cloud has them, and such as must not stand in an address.

Clients of clouds find a model elsewhere by its plain name. Bedrock says us.anthropic.claude-opus-5-5-20260930-v1:0,
Vertex claude-opus-5-5@20260930; Anthropic itself says claude-opus-5-5-20260930.

Gemini, Bedrock, Vertex and Azure's older addresses contain the name, encoded. A server that decodes it, once or twice,
and then puts the path in order, as some reverse proxies do, must not be led to another place of the upstream.
"""

from __future__ import annotations

from urllib.parse import unquote

from translate import late

_BEDROCK = late.pattern(r"(?:[a-z]{2,6}(?:-gov)?\.)?anthropic\.(claude-[a-z0-9.-]+?)(?:-v\d+(?::\d+)?(?::\w+)?)?")
_VERTEX = late.pattern(r"(claude-[a-z0-9.-]+)@(\w+)")

MOST_DECODED = 2  # times

# A segment of dots alone, also with parameters behind it, and what has no place in a path at all.
_ASTRAY = late.pattern(r"(?:^|[/\\])\.+(?:[/\\;?#]|$)|[\x00-\x1f\x7f\ufffd]")


def plain(model: str) -> str:
    """The plain name behind a cloud's; "" where it is no cloud's."""
    if found := _BEDROCK.fullmatch(model):
        return found[1]
    if found := _VERTEX.fullmatch(model):
        return f"{found[1]}-{found[2]}" if found[2].isdigit() else found[1]
    return ""


def leads_astray(model: str) -> bool:
    """Whether an address with this name may lead to another place."""
    for _ in range(MOST_DECODED + 1):
        if _ASTRAY.search(model):
            return True
        if "%" not in model:
            break
        model = unquote(model)
    return False
