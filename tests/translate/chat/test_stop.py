"""Why a reply ended: the words of many servers, and what they mean."""

from __future__ import annotations

import pytest

from translate.chat import stop

FINISH = [
    ("stop", False, "end"), ("eos", False, "end"), ("end_turn", False, "end"), ("", False, "end"),
    ("never_heard_of", False, "end"), ("stop", True, "tool_calls"), ("", True, "tool_calls"),
    ("tool_calls", False, "end"), ("tool_call", True, "tool_calls"), ("function_call", True, "tool_calls"),
    ("tool_use", True, "tool_calls"), ("length", True, "length"), ("max_tokens", False, "length"),
    ("model_length", False, "length"), ("content_filter", True, "refusal"), ("SAFETY", False, "refusal"),
    ("model_context_window_exceeded", False, "context_overflow"),
]  # fmt: skip


@pytest.mark.parametrize(("finish", "has_calls", "reason"), FINISH)
def test_finish_reasons(finish: str, has_calls: bool, reason: str) -> None:
    assert stop.read_stop(finish, has_calls=has_calls) == reason


def test_finish_reasons_that_are_breakdowns() -> None:
    error = stop.breakdown("insufficient_system_resource")
    assert error is not None
    assert (error.kind, error.status) == ("overloaded", 529)
    assert stop.breakdown("stop") is None
