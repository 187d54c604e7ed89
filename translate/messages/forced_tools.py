"""A tool that must be called, before models that answer 400 to such a wish: they are asked for it in words, which is
not certain to work. Anthropic names them in its pages "What's new": Opus and Sonnet from 5.5, Fable and Mythos from 5.1
on. The words stand among the instructions, since thoughts of these models hold only behind the messages as they were.
"""

from __future__ import annotations

import re

from translate.json.json_fields import Body

_NEVER = re.compile(
    r"claude-(?:(?:fable|mythos)-5[-.][1-9](?!\d)|(?:opus|sonnet)-5[-.][5-9](?!\d)"
    r"|(?:fable|mythos|opus|sonnet)-(?:[6-9]|[1-9]\d)(?!\d))"
)


def are_refused(model: str) -> bool:
    """Tells whether the model takes no forced tool. Vendor prefixes and dates in the name do not matter."""
    return _NEVER.search(model) is not None


def asked_for(body: Body, choice: Body) -> None:
    """Adds to the body's instructions what `choice`, Anthropic's tool_choice, wants."""
    wish = f"Call the tool `{choice['name']}`" if choice["type"] == "tool" else "Call one of the tools"
    said = body.get("system") or []
    before = [{"type": "text", "text": said}] if isinstance(said, str) else said
    body["system"] = [*before, {"type": "text", "text": f"{wish}. Do not answer in words alone."}]
