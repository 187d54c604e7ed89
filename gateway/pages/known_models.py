"""What an upstream's list says of its models: names, and where it tells them context size and price.

OpenRouter says `context_length` and `pricing` (US dollars for a token, as texts), vLLM `max_model_len`, llama.cpp
`meta.n_ctx_train`, Anthropic `display_name`; Ollama and llama.cpp have {"models": [...]} beside.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

MAX_TIME = 253402300799  # seconds; the last that a year of four digits can say


@dataclass(slots=True)
class Model:
    """id: what a client asks for. created: Unix seconds, 0 = not told. context: tokens that it takes, 0 = not told.
    price: US dollars for a million tokens of input and of output."""

    id: str
    upstream: str
    name: str = ""
    created: int = 0
    context: int = 0
    price: tuple[float, float] | None = None

    @property
    def made(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(max(self.created, 0), MAX_TIME)))

    @property
    def described(self) -> str:
        """One line: the upstream, how many tokens the model takes, what a million of input and of output cost."""
        said = [f"from {self.upstream}"]
        if self.context:
            said.append(f"{_short(self.context)} tokens of context")
        if self.price is not None:
            said.append("${:g} in, ${:g} out for a million tokens".format(*self.price))
        return ", ".join(said)


def read_list(data: Any, upstream: str) -> list[Model]:
    """The models in either API's shape of a list; rows that name none are left out."""
    rows = (
        data if isinstance(data, list) else data.get("data") or data.get("models") if isinstance(data, dict) else None
    )
    return [
        Model(id, upstream, _text(row.get("display_name")), _count(row.get("created")), _context(row), _price(row))
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(id := row.get("id") or row.get("name"), str)
    ]


def _context(row: dict[str, Any]) -> int:
    meta = row.get("meta")
    inner = meta.get("n_ctx_train") if isinstance(meta, dict) else None
    told = (row.get("context_length"), row.get("max_model_len"), row.get("context_window"), inner)
    return next((count for count in map(_count, told) if count), 0)


def _price(row: dict[str, Any]) -> tuple[float, float] | None:
    pricing = row.get("pricing")
    if not isinstance(pricing, dict):
        return None
    try:
        each = float(pricing["prompt"]) * 1e6, float(pricing["completion"]) * 1e6
    except (KeyError, TypeError, ValueError):
        return None
    return each if all(math.isfinite(price) and price >= 0 for price in each) else None  # -1: it depends


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _short(tokens: int) -> str:
    return f"{tokens / 1e6:g}M" if tokens >= 1_000_000 else f"{tokens // 1000}K" if tokens >= 1000 else str(tokens)
