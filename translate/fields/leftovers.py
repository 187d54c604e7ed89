"""The fields of a request for which another protocol has no word, and which of them must be reported.

A client's top-level fields without a neutral word wait in ext[protocol], under the names that the client gave them (a
field within a field as "text.verbosity"). What an object within a part, a tool or a field says besides what is read of
it waits in the group `WITHIN`, as "source.NAME"; no encoder takes that group. An encoder of another protocol reports
each of them as dropped, unless its value only says what is the case anyway. Groups with a dot in their name
("responses.form") only remember how a thing was written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from translate.conversation import Conversation, Ext, Part, ToolResult
from translate.tools import websearch

PLAIN_TIERS = ("auto", "default", "on_demand")  # these tiers ask for what every provider does anyway
OPENAI_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")  # other words are servers' own
USUAL_VERBOSITY = "medium"  # every model writes so much without being asked
CACHE_CONTROL, BREAKPOINT = "cache_control", "prompt_cache_breakpoint"
WITHIN = "within"
_READ_MARKS = frozenset(("cache", "chat", "responses"))  # groups of the encoders that write such marks
_OPENAI = (
    "metadata", "store", "safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation",
)  # fmt: skip
_GIVEN = {"reasoning.encrypted_content", websearch.SOURCES}  # every client that can use it gets it
LIKELY = "message.output_text.logprobs"  # in `include` of Responses
_SETTLED: dict[str, Any] = {
    "n": 1,
    "store": False,
    "logprobs": False,
    "background": False,
    "truncation": "disabled",
    "modalities": ["text"],
    "metadata": {},
    "logit_bias": {},
    "top_logprobs": 0,
    "usage": {"include": True},  # OpenRouter's: counts are always given, and so is what was thought
    "include_reasoning": True,
    "stream_options": {"include_obfuscation": False},
}


def dropped(conversation: Conversation, taken: Collection[str], *, likely: bool = False) -> list[str]:
    """Returns the names of the fields that stay behind when the conversation is written. taken: the groups that its
    encoder reads. likely: it asks how likely the tokens are, too."""
    return [
        field
        for group, fields in conversation.ext.items()
        if group not in taken and "." not in group
        for field, value in fields.items()
        if not _is_settled(field, value) and not (likely and _asks_likely(field, value))
    ]


# Fields of a part, a turn or a tool that have no place in another protocol. Of a block that is kept whole, with its
# type, only these are looked at: the block as such is reported.
_REPORTED = frozenset((
    "cache_control", "citations", "input_examples", "allowed_callers",
    "eager_input_streaming", "transformations",
    "async", "output_schema", "audio",
    # of Gemini's parts and functions
    "videoMetadata", "mediaResolution", "partMetadata", "mediaProcessing", "speechMetadata", "documentMetadata",
    "spreadsheetMetadata", "audioMetadata",
    "functionDeclarations.behavior", "functionDeclarations.response", "functionDeclarations.responseJsonSchema",
))  # fmt: skip
# Fields that only name a thing, say how it was written, or are read elsewhere.
_QUIET = frozenset((
    "id", "status", "role", "name", "detail", "phase", "prefix", "function", "output_config", "agent", "caller",
    "logprobs", "namespace", "toolset_name", "clear_at", "defer_loading", "images", BREAKPOINT,
))  # fmt: skip
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_UNSAID = (*_EMPTY, False, "auto", ["direct"])  # these values say what is the case anyway


def of_part(ext: Ext, taken: Collection[str]) -> list[str]:
    """Returns what of a part's leftovers stays behind. taken: as above."""
    if BREAKPOINT in ext.get("cache", {}) and _READ_MARKS.isdisjoint(taken):
        return [BREAKPOINT]
    return [
        field
        for group, left in ext.items()
        if group not in taken and "." not in group and not left.keys() <= _QUIET
        for field in left
        if (field in _REPORTED or (field not in _QUIET and "type" not in left))
        and left[field] not in _UNSAID
        and not any(field in ext.get(each, {}) for each in taken)
    ]


def lost(conversation: Conversation, body: dict[str, Any]) -> list[str]:
    """Returns the names of what a request of the protocol that it came from does not say any more, although nothing of
    it is refused there: fields that no encoder knows. body: the request as it was written."""
    named = dict.fromkeys(dropped(conversation, ()))
    for ext in _of_all(conversation):
        named.update(dict.fromkeys(of_part(ext, ())))
    said = _keys(body) if named else set()
    return [name for name in named if name.rpartition(".")[2] not in said]


def _of_all(conversation: Conversation) -> Iterator[Ext]:
    """Yields the leftovers of tools, turns and parts."""
    yield from (tool.ext for tool in conversation.tools)
    yield from (turn.ext for turn in conversation.turns)
    waiting: list[Part] = [*conversation.system, *(part for turn in conversation.turns for part in turn.parts)]
    while waiting:
        part = waiting.pop()
        yield part.ext
        if isinstance(part, ToolResult):
            waiting += part.parts


def _keys(body: dict[str, Any]) -> set[str]:
    """Returns the names of all fields within a body."""
    found: set[str] = set()
    waiting: list[Any] = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found.update(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


# How gateways and servers tell who has served a reply, how fast, for how much, and what filters found in the prompt.
SERVED = frozenset((
    "provider", "provider_metadata", "provider_specific_fields", "timings", "time_info", "latency_checkpoint",
    "sla_metrics", "cost", "copilot_usage", "usage_breakdown", "total_tokens", "request_id", "generationId", "nvext",
    "kv_transfer_params", "prompt_logprobs", "prompt_token_ids", "token_ids", "token_id", "routed_experts", "channel",
    "stream_options", "prompt_filter_results", "content_filter_results", "content_filter_offsets", "content_filters",
    "obfuscation", "p", "metadata", "seed", "base_resp",  # the last one: MiniMax's, if it is no error
    "content_filter_raw", "service_tier_used", "thought_signature",  # the last one: extra_content has it
))  # fmt: skip


def note_within(raw: dict[str, Any], name: str, known: Collection[str], ext: Ext) -> None:
    """Notes in `ext` what the object in the field `name` says besides the fields that are `known`."""
    if rest := {f"{name}.{key}": raw[key] for key in raw if key not in known and raw[key] not in _UNSAID}:
        ext.setdefault(WITHIN, {}).update(rest)


def mistyped(raw: dict[str, Any], types: Mapping[str, type]) -> dict[str, Any]:
    """Returns the fields that have a value of another type than is read, so that nothing of it crosses."""
    return {key: raw[key] for key in raw.keys() & types.keys() if not isinstance(raw[key], types[key] | None)}


def said_beyond(raw: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Returns what an object of a reply says besides the fields that are `known`. What is empty says nothing, nor does
    how a server has served it."""
    return {key: value for key, value in raw.items() if value and key not in known and key not in SERVED}


def note_mark(raw: dict[str, Any], field: str, ext: Ext) -> None:
    """Puts the mark for the cache that `raw` has in `field` into the shared group of `ext`."""
    if isinstance(mark := raw.get(field), dict):
        ext.setdefault("cache", {})[field] = mark


def breakpoint_of(ext: Ext) -> dict[str, Any]:
    """Returns OpenAI's mark as a field of OpenAI's protocols, {} where there is none."""
    mark = ext.get("cache", {}).get(BREAKPOINT)
    return {} if mark is None else {BREAKPOINT: mark}


def split_openai(left: dict[str, Any], own: str) -> Ext:
    """Returns the leftover fields of a request of the protocol `own`, with those apart that OpenAI's protocols
    share."""
    shared = {field: left.pop(field) for field in _OPENAI if field in left}
    return {own: left} | ({"openai": shared} if shared else {})


def _is_settled(field: str, value: Any) -> bool:
    """Tells whether the field only states the default, or nothing."""
    if value in _EMPTY:
        return True
    if field == "include":
        return _is_given(value)
    if field == "service_tier":
        return value in PLAIN_TIERS
    return field in _SETTLED and bool(_SETTLED[field] == value)


def _asks_likely(field: str, value: Any) -> bool:
    """Tells whether the field asks how likely the tokens are, and for nothing else that does not cross."""
    if field == "include" and isinstance(value, list):
        return _is_given([name for name in value if name != LIKELY])
    return field in ("logprobs", "top_logprobs")


def _is_given(include: Any) -> bool:
    return isinstance(include, list) and all(isinstance(name, str) and name in _GIVEN for name in include)
