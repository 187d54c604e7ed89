"""Replies held against the official SDKs' response models, and Responses also against Open Responses: strictly, each
event and each whole body. Where the SDKs build replies of what they read, sdk.py looks at what comes of it."""

from __future__ import annotations

from conformance import open_responses, sdk_types


def stream_problems(protocol: str, raw: bytes) -> list[str]:
    """What is wrong with a stream's events; pings and errors, which the SDKs read apart from the others, aside."""
    found = sdk_types.of(protocol).stream_problems(raw)
    return found + (open_responses.stream_problems(raw) if protocol == "responses" else [])


def body_problems(protocol: str, raw: bytes) -> list[str]:
    """What is wrong with a whole reply."""
    found = sdk_types.of(protocol).body_problems(raw)
    return found + (open_responses.body_problems(raw) if protocol == "responses" else [])
