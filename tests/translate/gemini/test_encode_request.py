"""Conversations of other protocols as Google accepts them."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Target

CALLS: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "done"},
        ]
    },
    "messages": {
        "max_tokens": 50,
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "done"}]},
        ],
    },
    "responses": {
        "input": [
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "done"},
        ]
    },
}


@pytest.mark.parametrize("client", CALLS)
def test_a_history_that_was_cut_begins_with_the_user(client: str) -> None:
    """Google answers 400 to a call that comes after neither a user's turn nor a function's."""
    body: Any = pair.request(client, "gemini", {"model": "m", **CALLS[client]}, Target("gemini-2.5-pro")).body
    user, model, result = body["contents"]
    assert user == {"role": "user", "parts": [{"text": "(conversation continues)"}]}
    assert "functionCall" in model["parts"][0] and "functionResponse" in result["parts"][0]
