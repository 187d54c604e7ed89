"""Why a reply ended: the words for it at Google (finishReason), read and written."""

from __future__ import annotations

from translate.conversation import StopReason
from translate.failures.errors import KINDS, ApiError

_END: dict[str, StopReason] = {
    "STOP": "end", "MAX_TOKENS": "length", "CONTINUATION": "pause",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION", "JAILBREAK"), "refusal"),
}  # fmt: skip

# Finish reasons which mean that the model broke down and gave no answer.
_BROKEN = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
})  # fmt: skip

_FINISH: dict[StopReason, str] = {
    "length": "MAX_TOKENS",
    "context_overflow": "MAX_TOKENS",
    "pause": "MAX_TOKENS",
    "refusal": "SAFETY",
}


def read_stop(finish: str, *, has_calls: bool, said_nothing: bool) -> StopReason:
    """Returns the neutral reason of a finishReason; "" = the upstream gave none. Google ends a reply with calls by
    STOP. A reply without content that ends by an unknown word is a refusal."""
    reason = _END.get(finish.upper())
    if reason is None:
        reason = "refusal" if finish and said_nothing else "end"
    return "tool_calls" if reason == "end" and has_calls else reason


def breakdown(finish: str, why: str) -> ApiError | None:
    """Returns the error that a finish reason stands for. why: the upstream's own words."""
    if finish.upper() not in _BROKEN:
        return None
    said = f": {why}" if why else ""
    return ApiError("upstream", f"the upstream ended its answer with {finish}{said}", KINDS["upstream"][0])


def write_stop(reason: StopReason) -> str:
    return _FINISH.get(reason, "STOP")
