"""What stands as the content of a reply's message: parts, or the value that a JSON schema has asked for."""

from __future__ import annotations

from typing import Any

from translate.json import wire
from translate.json.json_fields import text_of

_LONE = frozenset(("text", "output_text", "thinking", "reasoning", "refusal", "image_url", "image", "audio"))


def parts_of(content: Any) -> list[Any]:
    """Returns the parts of a content that is no string, as Mistral has them, or a lone one. For a JSON schema,
    Cloudflare gives the value itself, and other servers its text."""
    if isinstance(content, list):
        is_value = any(isinstance(item, dict) for item in content) and not any(map(_is_part, content))
        return [wire.dumps_text(content)] if is_value else content
    if isinstance(content, dict) and text_of(content, "type") not in _LONE:
        return [wire.dumps_text(content)]
    return [content]


def _is_part(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and isinstance(item.get("type", item.get("text")), str))
