"""Reads the list of models of an upstream: names and, if the list has them, context size and price.

OpenRouter has `context_length`, `top_provider`, `architecture` and `pricing` (US dollars for one token, as strings),
vLLM `max_model_len`, llama.cpp `meta.n_ctx_train`, Anthropic `display_name`, `max_input_tokens` and `max_tokens`,
Google `inputTokenLimit`, `outputTokenLimit` and names that begin with `models/`. The lists
of Ollama and llama.cpp also have the form {"models": [...]}.
"""

from __future__ import annotations

import math
import time
from typing import Any

from msgspec import Struct

MOST, LONGEST, LARGEST = 3_000, 500, 10**12
"""Of what an upstream tells: models, letters of a name, tokens. The longest real lists have some hundred."""
MAX_TIME = 253402300799  # seconds since 1970: the end of the year 9999


class Model(Struct):
    """One model. id: the name that a client asks for. created: seconds since 1970, 0 = unknown. context: how many
    tokens it takes, and output: how many it writes at most, 0 = unknown. price: US dollars for a million tokens of
    input and of output. sees: whether it takes images, thinks: whether it can be told how much to think; None =
    unknown."""

    id: str
    upstream: str
    name: str = ""
    created: int = 0
    context: int = 0
    price: tuple[float, float] | None = None
    output: int = 0
    sees: bool | None = None
    thinks: bool | None = None

    @property
    def made(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(max(self.created, 0), MAX_TIME)))

    @property
    def described(self) -> str:
        """A line about the model: its upstream, how many tokens it takes, and what a million of them cost."""
        said = [f"from {self.upstream}"]
        if self.context:
            said.append(f"{_short(self.context)} tokens of context")
        if self.output:
            said.append(f"{_short(self.output)} out")
        if self.sees is not None:
            said.append("takes images" if self.sees else "text alone")
        if self.price is not None:
            said.append("${:g} in, ${:g} out for a million tokens".format(*self.price))
        return ", ".join(said)


def read_list(data: Any, upstream: str) -> list[Model]:
    """The models of a list in any API's form. Rows without a name are left out, and those that are too many."""
    rows = (
        data if isinstance(data, list) else data.get("data") or data.get("models") if isinstance(data, dict) else None
    )
    return [
        Model(
            id.removeprefix("models/"),
            upstream,
            _text(row.get("display_name") or row.get("displayName")),
            _count(row.get("created")),
            _context(row),
            _price(row),
            _output(row),
            _sees(row),
            _thinks(row),
        )
        for row in (rows[:MOST] if isinstance(rows, list) else [])
        if isinstance(row, dict)
        and _writes(row)
        and isinstance(id := row.get("id") or row.get("name"), str)
        and len(id) <= LONGEST
    ]


def _writes(row: dict[str, Any]) -> bool:
    """Whether the model writes texts. Google lists those for embeddings, pictures and the like, too."""
    ways = row.get("supportedGenerationMethods")
    return not isinstance(ways, list) or "generateContent" in ways


def _context(row: dict[str, Any]) -> int:
    meta = row.get("meta")
    inner = meta.get("n_ctx_train") if isinstance(meta, dict) else None
    told = (row.get("context_length"), row.get("max_model_len"), row.get("context_window"),
            row.get("inputTokenLimit"), row.get("max_input_tokens"), inner)  # fmt: skip
    return next((count for count in map(_count, told) if count), 0)


def _output(row: dict[str, Any]) -> int:
    provider = row.get("top_provider")
    inner = provider.get("max_completion_tokens") if isinstance(provider, dict) else None
    anthropics = row.get("max_tokens") if "max_input_tokens" in row else None  # elsewhere it may mean the context
    told = (inner, row.get("max_completion_tokens"), row.get("max_output_tokens"), row.get("outputTokenLimit"),
            anthropics)  # fmt: skip
    return next((count for count in map(_count, told) if count), 0)


def _sees(row: dict[str, Any]) -> bool | None:
    about = row.get("architecture")
    said = about.get("input_modalities") if isinstance(about, dict) else row.get("capabilities")
    if not isinstance(said, list) or not said:
        return None
    return not {"image", "vision", "multimodal"}.isdisjoint(each for each in said if isinstance(each, str))


def _thinks(row: dict[str, Any]) -> bool | None:
    """OpenRouter and Ollama tell it."""
    if isinstance(parameters := row.get("supported_parameters"), list) and parameters:
        return "reasoning" in parameters
    capabilities = row.get("capabilities")
    return True if isinstance(capabilities, list) and "thinking" in capabilities else None


def _price(row: dict[str, Any]) -> tuple[float, float] | None:
    pricing = row.get("pricing")
    if not isinstance(pricing, dict):
        return None
    try:
        each = float(pricing["prompt"]) * 1e6, float(pricing["completion"]) * 1e6
    except (KeyError, TypeError, ValueError):
        return None
    return each if all(math.isfinite(price) and price >= 0 for price in each) else None  # -1 = the price varies


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST else 0


def _short(tokens: int) -> str:
    return f"{tokens / 1e6:g}M" if tokens >= 1_000_000 else f"{tokens // 1000}K" if tokens >= 1000 else str(tokens)
