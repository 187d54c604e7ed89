"""POST /v1/responses/compact for an upstream without such an endpoint: the request for it, and its answer.

The conversation is compacted as if a `compaction_trigger` stood at the end of its input (see translate/compaction.py).
The answer is what the client sends as its input from then on: what the user said, and the summary.
"""

from __future__ import annotations

from typing import Any

from gateway.stored.store import items_of
from translate.json import wire
from translate.responses.compaction import TRIGGER


def asking(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the body as an ordinary request. An input of a wrong type is left for the translation to refuse."""
    items = items_of(data.get("input"))
    rest = {key: value for key, value in data.items() if key != "stream"}
    return rest if items is None else rest | {"input": [*items, {"type": TRIGGER}]}


def answer(raw: bytes, data: dict[str, Any]) -> bytes:
    """Returns the answer to the client. data: the body of the response."""
    response = wire.loads(raw)
    key = str(response["id"]).partition("_")[2]
    said = [
        {"id": f"msg_{key}_{number}", "type": "message", "status": "completed", "role": "user"} | _content(item)
        for number, item in enumerate(items_of(data.get("input")) or [])
        if isinstance(item, dict) and item.get("role") == "user"
    ]
    return wire.dumps({
        "id": response["id"],
        "object": "response.compaction",
        "created_at": response["created_at"],
        "output": [*said, *response["output"]],
        "usage": response["usage"],
    })  # fmt: skip


def _content(item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    return {"content": [{"type": "input_text", "text": content}] if isinstance(content, str) else content}
