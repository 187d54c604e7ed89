"""How the model draws its words, within what Anthropic takes.

From Opus 4.7 on Claude answers 400 to temperature, top_p and top_k, whatever their value; earlier ones end at a
temperature of 1, beside thinking they take no temperature or top_k and a top_p of at least 0.95, and newer ones of them
refuse temperature and top_p together. Clients of OpenAI's protocols send them by habit. Other models behind this
protocol take what they are given.
"""

from __future__ import annotations

import re

from translate.conversation import Sampling
from translate.encode_context import Draft
from translate.json.json_fields import Body

LEAST_TOP_P = 0.95  # with thinking on, top_p may lie between this and 1

_FIXED = re.compile(
    r"claude-(?:(?:opus|sonnet|haiku)-(?:4[-.](?:[7-9]|[1-9]\d)(?!\d)|[5-9](?!\d)|[1-9]\d(?!\d))|mythos|fable)"
)


def is_fixed(model: str) -> bool:
    """Tells whether the model takes no sampling parameters. Vendor prefixes and dates in the name do not matter."""
    return _FIXED.search(model) is not None


def write(body: Body, sampling: Sampling, draft: Draft) -> None:
    """Puts what the model takes into `body`, whose model and thinking are there already. A value that changes nothing
    is left out without a word."""
    fixed = is_fixed(body["model"])
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    temperature = None if sampling.temperature is None else min(sampling.temperature, 1)
    if temperature is not None and (fixed or thinks):
        if temperature != 1:
            draft.drop("temperature")
        temperature = None
    if temperature is not None:
        body["temperature"] = temperature
    if (top_p := sampling.top_p) is not None:
        if not fixed and temperature is None and not (thinks and top_p < LEAST_TOP_P):
            body["top_p"] = top_p
        elif top_p != 1:
            draft.drop("top_p")
    if sampling.top_k is not None:
        if fixed or thinks:
            draft.drop("top_k")
        else:
            body["top_k"] = sampling.top_k
    if sampling.seed is not None:
        draft.drop("seed")
    for field in ("frequency_penalty", "presence_penalty"):  # one of 0 is none
        if getattr(sampling, field):
            draft.drop(field)
