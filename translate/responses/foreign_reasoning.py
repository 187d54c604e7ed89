"""A Responses request less the reasoning items that OpenAI never sealed, and summaries of ours in words."""

from __future__ import annotations

from typing import Any

from translate import compaction
from translate.json.json_fields import Body
from translate.reasoning import sealed_reasoning
from translate.responses.words import WORDS


def without(body: Body) -> list[str]:
    """Takes out whole items: the upstream would look for their ids in vain."""
    items = body.get("input")
    if not isinstance(items, list):
        return []
    kept = [
        item
        for item in items
        if not (isinstance(item, dict) and sealed_reasoning.is_seal(item.get("encrypted_content")))
    ]
    if len(kept) == len(items):
        return []
    body["input"] = kept
    return [WORDS.thoughts]


def summaries_in_words(body: Body) -> bool:
    items = body.get("input")
    if not isinstance(items, list):
        return False
    told = [_item_told(item) for item in items]
    body["input"] = told
    return told != items


def _item_told(item: Any) -> Any:
    summary = sealed_reasoning.summary_in(item.get("encrypted_content")) if isinstance(item, dict) else ""
    if not summary:
        return item
    text = {"type": "input_text", "text": compaction.as_text(summary)}
    return {"type": "message", "role": "user", "content": [text]}
