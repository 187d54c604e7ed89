"""The list of models as Anthropic tells it, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from translate.failures.errors import BadRequest
from translate.model_list import ListedModel

USUAL, MOST = 20, 1000  # models on a page
_NUMBER = re.compile(r"-?[0-9]{1,9}")


def row(model: ListedModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "description": model.described,
        "created_at": model.made,
    }


def page(models: Sequence[ListedModel], asked: Mapping[str, str]) -> dict[str, Any]:
    """Returns one page of the list. asked: the request's query, of which limit, after_id and before_id count. Raises
    BadRequest."""
    limit = _limit(asked.get("limit", str(USUAL)))
    ids = [model.id for model in models]
    if before := asked.get("before_id"):
        models = models[: _place(ids, "before_id", before)]
        rows = [row(model) for model in models[-limit:]]
    else:
        after = asked.get("after_id")
        models = models[_place(ids, "after_id", after) + 1 if after else 0 :]
        rows = [row(model) for model in models[:limit]]
    return {
        "data": rows,
        "has_more": len(models) > limit,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
    }


def _limit(said: str) -> int:
    if _NUMBER.fullmatch(said) is None:
        raise BadRequest("limit: Input should be a valid integer", "limit")
    if not 1 <= int(said) <= MOST:
        raise BadRequest(f"limit: Input should be from 1 to {MOST}", "limit")
    return int(said)


def _place(ids: list[str], name: str, id: str) -> int:
    if id not in ids:
        raise BadRequest(f"{name}: no model of the list has this id; begin again without it", name)
    return ids.index(id)
