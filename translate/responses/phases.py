"""`phase`: whether a message of the model's was its answer, or words on the way there.

OpenAI's models label what they say since GPT-5.3-Codex, and want the labels back: without them they take an earlier
"Let me look." for the end of the work, and stop early. No other protocol has a place for them, but where a message
stood tells its phase: who goes on to a call has not answered yet.
"""

from __future__ import annotations

import re

from translate.json_fields import Body

_KNOW_PHASES = re.compile(r"gpt-5[.-]3-codex|gpt-(?:5[.-][4-9]|[6-9]|[12]\d)(?!\d)", re.I)
_CALLS = frozenset(("function_call", "custom_tool_call"))  # the client runs these, so that the turn goes on after them


def known(model: str) -> bool:
    return _KNOW_PHASES.search(model) is not None and "chat" not in model


def label(turn: list[Body], *, goes_on: bool) -> None:
    """Labels the messages of one turn of the model's, given as items. goes_on: another turn of the model's follows."""
    goes_on = goes_on or any(item["type"] in _CALLS for item in turn)
    for item in turn:
        if item["type"] == "message":
            item["phase"] = "commentary" if goes_on or item is not turn[-1] else "final_answer"
