"""How thinking is switched on and off at compatible servers: each vendor has a field of its own, Chat has none."""

from __future__ import annotations

import re
from typing import Any

FIELDS = ("thinking", "enable_thinking", "chat_template_kwargs", "reasoning")
"""What [upstream] thinking_switch may name: DeepSeek's, Moonshot's and z.ai's field, Qwen's, that of servers which hand
it to the model's template (vLLM, SGLang, llama.cpp), and OpenRouter's."""

BEFORE_TOOLS = ("thinking", "enable_thinking")
"""Those of vendors whose models, while they think, answer 400 to a request that forces a tool."""

# Models that always think. Some of their vendors answer 400 to a request that they do not.
_ALWAYS = re.compile(r"kimi-k(2\.7|2-thinking|[3-9])|glm-(4\.7|5\.[3-9]|[6-9])|deepseek-(r1|reasoner)", re.I)


def form(field: str, model: str, on: bool) -> dict[str, Any] | None:
    """Returns what says so in a request's body; None where nothing can."""
    if field not in FIELDS or (not on and _ALWAYS.search(model)):
        return None
    if field == "thinking":
        return {"thinking": {"type": "enabled" if on else "disabled"}}
    if field == "reasoning":
        return {"reasoning": {"enabled": on}}
    return {"enable_thinking": on} if field == "enable_thinking" else {field: {"enable_thinking": on}}
