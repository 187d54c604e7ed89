"""The list of models as Anthropic tells it, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from translate.model_list import ListedModel

USUAL = 20  # models on a page
_LIMIT = re.compile(r"[1-9][0-9]{0,8}")


def row(model: ListedModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "description": model.described,
        "created_at": model.made,
    }


def page(models: Sequence[ListedModel], asked: Mapping[str, str]) -> dict[str, Any]:
    """Returns one page of the list. asked: the request's query, of which limit, after_id and before_id count."""
    ids = [model.id for model in models]
    if (after := asked.get("after_id")) in ids:
        models = models[ids.index(after) + 1 :]
    elif (before := asked.get("before_id")) in ids:
        models = models[: ids.index(before)]
    limit = int(asked["limit"]) if _LIMIT.fullmatch(asked.get("limit", "")) else USUAL
    rows = [row(model) for model in models[:limit]]
    return {
        "data": rows,
        "has_more": len(models) > limit,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
    }
