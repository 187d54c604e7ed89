"""Replies held against the official SDKs' response models: strictly, each event and each whole body.

The SDKs themselves build their objects without looking, so that a wrong type is met later, by whoever uses the field.
They are loaded when they are needed, and where they are not installed `installed` says so and nothing is judged.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

APART = ("ping", "error", "keepalive")  # the SDKs read these apart from the other events
VALIDATOR = "pydantic"  # both SDKs bring it
MOST = 5  # problems of one body or event


@dataclass(frozen=True)
class Types:
    """The models of one protocol. event: of a stream's events, or their union, by `type`."""

    name: str
    package: str
    module: str
    event: str
    body: str

    def installed(self) -> str:
        """The package and its version; "" where it is missing."""
        try:
            return f"{self.package} {importlib.metadata.version(self.package)}"
        except importlib.metadata.PackageNotFoundError:
            return ""

    def body_problems(self, raw: bytes) -> list[str]:
        """What is wrong with a whole reply."""
        return _held(_adapter(self.module, self.body, ""), raw)

    def stream_problems(self, raw: bytes) -> list[str]:
        """What is wrong with a stream's events; pings and errors aside."""
        found: list[str] = []
        for line in raw.split(b"\n"):
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            kind = str(event.get("type") or "")
            if kind in APART or "error" in event:
                continue
            adapter = _adapter(self.module, self.event, kind)
            if adapter is None:
                found.append(f"{kind}: an event that the SDK does not know")
            else:
                found += [f"{kind}: {problem}" if kind else problem for problem in _held(adapter, line[6:])]
        return found


ALL = (
    Types("messages", "anthropic", "anthropic.types", "RawMessageStreamEvent", "Message"),
    Types("chat", "openai", "openai.types.chat", "ChatCompletionChunk", "ChatCompletion"),
    Types("responses", "openai", "openai.types.responses", "ResponseStreamEvent", "Response"),
    Types("gemini", "google-genai", "google.genai.types", "GenerateContentResponse", "GenerateContentResponse"),
)


def of(protocol: str) -> Types:
    return next(types for types in ALL if types.name == protocol)


@cache
def _adapter(module: str, name: str, kind: str) -> Any:
    """What validates it. Of a union the member with that `type`, so that the words are of that one alone; None: the
    union has none."""
    declared = getattr(importlib.import_module(module), name)
    if members := list(_members(declared)):
        declared = next((each for each in members if _kind_of(each) == kind), None)
    return declared and importlib.import_module(VALIDATOR).TypeAdapter(declared)


def _members(declared: Any) -> Iterator[Any]:
    """The members of an annotated union; nothing of a model."""
    for union in get_args(declared)[:1]:
        yield from get_args(union)


def _kind_of(model: Any) -> str:
    return str(next(iter(get_args(model.model_fields["type"].annotation)), ""))


def _held(adapter: Any, raw: bytes) -> list[str]:
    try:
        adapter.validate_json(raw, strict=True)
    except ValueError as error:  # pydantic's ValidationError is one
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:MOST]]  # type: ignore[attr-defined]  # of pydantic's
    return []
