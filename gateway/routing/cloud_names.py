"""The plain name of a model behind the name that a cloud has for it, so that clients of clouds find it elsewhere, too.

Bedrock says us.anthropic.claude-opus-5-5-20260930-v1:0, Vertex claude-opus-5-5@20260930; Anthropic itself says
claude-opus-5-5-20260930.
"""

from __future__ import annotations

import re

_BEDROCK = re.compile(r"(?:[a-z]{2,6}(?:-gov)?\.)?anthropic\.(claude-[a-z0-9.-]+?)(?:-v\d+(?::\d+)?(?::\w+)?)?")
_VERTEX = re.compile(r"(claude-[a-z0-9.-]+)@(\w+)")


def plain(model: str) -> str:
    """"" where the name is no cloud's."""
    if found := _BEDROCK.fullmatch(model):
        return found[1]
    if found := _VERTEX.fullmatch(model):
        return f"{found[1]}-{found[2]}" if found[2].isdigit() else found[1]
    return ""
