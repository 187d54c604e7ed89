"""What the kit wants of a protocol: bodies of requests, and what a reply says, in words that all of them share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from conformance.sdk_types import Types
from conformance.wire import Reply

Body = dict[str, Any]
Stop = Literal["end", "tool", "length", "sequence", "other", ""]

TOOL = "get_weather"
TOOL_WORDS = "The weather in a city."
CITY = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip
SIDES = ("left", "right")
SIDE = {
    "type": "object",
    "properties": {"side": {"type": "string", "enum": list(SIDES)}},
    "required": ["side"],
    "additionalProperties": False,
}
CITIES = ("Paris", "Rome", "Oslo")
WEATHER = "What is the weather in {}? Use the tool."


@dataclass(frozen=True)
class Call:
    """arguments: None where they are not a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any] | None


@dataclass
class Said:
    """What a reply says. tokens: into the model (with those of caches) and out of it; None: not said."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    stop: Stop = ""
    stop_word: str = ""  # as the protocol has it
    stopped_at: str = ""  # the stop sequence, where the reply names it
    tokens_in: int | None = None
    tokens_out: int | None = None


class Speech(ABC):
    """One protocol. What it has not is an empty path, or None for a field."""

    name: ClassVar[str]
    path: ClassVar[str]
    root: ClassVar[str] = "/v1"
    count_path: ClassVar[str] = ""
    count_field: ClassVar[str] = "input_tokens"
    stored_path: ClassVar[str] = ""
    id_header: ClassVar[str] = "x-request-id"
    error_fields: ClassVar[tuple[str, ...]] = ()  # beside type and message; they may be null
    types: ClassVar[Types]
    history: ClassVar[str] = "messages"
    usage_by_choice: ClassVar[bool] = False  # a stream tells its usage only where it is asked for
    sdk_final: ClassVar[str]  # the method of the SDK's stream that gives the whole reply
    forced: ClassVar[Any]  # tool_choice for: some tool must be called

    unforced: ClassVar[Any] = "auto"  # the same for: as the model sees fit

    @abstractmethod
    def headers(self, key: str) -> dict[str, str]: ...

    def addressed(self, model: str, body: Any) -> tuple[str, Any]:
        """(the path, the body) of a request. model: of one whose body names none."""
        return self.path, body

    @abstractmethod
    def asking(self, model: str, words: str, most: int) -> Body:
        """The least request for a reply of at most so many tokens."""

    @abstractmethod
    def tool(self) -> Body:
        """The tool, as the protocol declares it."""

    @abstractmethod
    def called(self, cities: tuple[str, ...]) -> list[Body]:
        """A history: a question, one call for each city, a result for each call."""

    @abstractmethod
    def picture(self, words: str, png: str) -> list[Body]:
        """A user's words with an image, in base64."""

    @abstractmethod
    def schema(self) -> Body:
        """The fields that make the reply fit SIDE."""

    def stop_at(self, words: str) -> Body | None:
        return None

    @abstractmethod
    def read(self, reply: Any) -> Said:
        """What a whole reply says, however odd it is."""

    @abstractmethod
    def read_stream(self, raw: bytes) -> Said: ...

    @abstractmethod
    def stream_problems(self, raw: bytes, usage: bool | None) -> list[str]:
        """usage: whether it was asked for, where that is a choice."""

    @abstractmethod
    def error_problems(self, error: Any) -> list[str]:
        """What is wrong with an error's body."""

    def error_fields_missing(self, error: Any) -> list[str]:
        """Of an error whose shape is right otherwise."""
        inner = as_object(as_object(error).get("error"))
        return [f"error has no {key}" for key in self.error_fields if key not in inner]

    @abstractmethod
    def model_problems(self, listed: Any) -> list[str]:
        """What is wrong with a list of models."""

    def model_names(self, listed: Any) -> list[str]:
        return [str(model["id"]) for model in objects(as_object(listed).get("data")) if model.get("id")]

    def asking_for_usage(self) -> Body:
        return {}

    def refused(self, reply: Reply) -> str:
        """The error's words."""
        error = as_object(as_object(reply.json()).get("error"))
        words = str(error.get("message") or reply.body[:160].decode(errors="replace"))
        return f"{reply.status}: {words}"


def as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def total(*counts: Any) -> int | None:
    known = [each for each in map(count, counts) if each is not None]
    return sum(known) if known else None


def arguments(text: Any) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def parsed(data: str) -> dict[str, Any]:
    """An event's data; nothing where it is no object."""
    try:
        return as_object(json.loads(data))
    except ValueError:
        return {}


OPENAI_ERROR_FIELDS = ("param", "code")


def openai_error_problems(error: Any) -> list[str]:
    """OpenAI's errors, of both its protocols."""
    if not isinstance(error, dict) or not isinstance(error.get("error"), dict):
        return ["the error is no {'error': {...}}"]
    inner = error["error"]
    found = [f"error.{key} is {inner.get(key)!r}" for key in ("message", "type") if not isinstance(inner.get(key), str)]
    found += ["error.message is empty"] if inner.get("message") == "" else []
    return found


def openai_model_problems(listed: Any) -> list[str]:
    if not isinstance(listed, dict) or listed.get("object") != "list" or not isinstance(listed.get("data"), list):
        return ["the list of models is no {'object': 'list', 'data': [...]}"]
    return _each_model(listed["data"], {"id": str, "object": str, "created": int, "owned_by": str})


def anthropic_model_problems(listed: Any) -> list[str]:
    if not isinstance(listed, dict) or not isinstance(listed.get("data"), list):
        return ["the list of models is no {'data': [...], 'has_more': ...}"]
    found = [f"the list of models has no {key}" for key in ("has_more", "first_id", "last_id") if key not in listed]
    return found + _each_model(listed["data"], {"id": str, "type": str, "display_name": str, "created_at": str})


def _each_model(models: list[Any], wanted: dict[str, type]) -> list[str]:
    if not models:
        return ["the list of models is empty"]
    return [
        f"a model's {key} is {as_object(model).get(key)!r}"
        for model in models[:1]
        for key, kind in wanted.items()
        if not isinstance(as_object(model).get(key), kind)
    ]
