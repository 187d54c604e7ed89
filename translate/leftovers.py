"""What a request says that another protocol has no word for: what of it must be reported.

A client's top-level fields without a neutral word wait in ext[protocol], under the names that the client gave them
(a field within a field as "text.verbosity"). An encoder of another protocol reports each as dropped, but for those
whose value says what is so anyway. Groups with a dot in their name ("responses.form") only remember how a thing was
written.
"""

from __future__ import annotations

from typing import Any

from translate import websearch
from translate.conversation import Conversation, Ext

PLAIN_TIERS = ("auto", "default", "on_demand")  # service_tier: what every provider does anyway
_GIVEN = {"reasoning.encrypted_content", websearch.SOURCES}  # to every client that may use it
_SETTLED: dict[str, Any] = {
    "n": 1,
    "store": False,
    "logprobs": False,
    "background": False,
    "truncation": "disabled",
    "usage": {"include": True},  # OpenRouter's: counts are always given, and so is what was thought
    "include_reasoning": True,
    "verbosity": "medium",  # how much every model writes unasked
    "text.verbosity": "medium",
    "stream_options": {"include_obfuscation": False},
}


def dropped(conversation: Conversation, own: str) -> list[str]:
    """Names of the fields that stay behind when an encoder of the protocol `own` writes the conversation."""
    return [
        field
        for protocol, fields in conversation.ext.items()
        if protocol != own and "." not in protocol
        for field, value in fields.items()
        if not (field in _SETTLED and _SETTLED[field] == value) and not (field == "include" and _is_given(value))
    ]


# What a protocol may say about a part, a turn or a tool that has no place in another one.
_REPORTED = (
    "cache_control", "citations", "input_examples", "allowed_callers", "eager_input_streaming", "transformations",
    "async", "output_schema", "audio", "input_file.detail",
)  # fmt: skip
_UNSAID = (None, False, "auto", ["direct"])  # what is so anyway


def of_part(ext: Ext, own: str) -> list[str]:
    """What of a part's leftovers an encoder of the protocol `own` leaves behind."""
    return [
        field
        for protocol, left in ext.items()
        if protocol != own and "." not in protocol
        for field in _REPORTED
        if field in left and left[field] not in _UNSAID and field not in ext.get(own, {})
    ]


def _is_given(include: Any) -> bool:
    return isinstance(include, list) and all(isinstance(name, str) and name in _GIVEN for name in include)
