"""An error as OpenAI's protocols say it, whole."""

from __future__ import annotations

from translate.failures.errors import KINDS, ApiError, Overflow, in_words_of
from translate.json import wire

_TOO_LONG = Overflow(
    ("maximum context length", "exceeds the context window", "nput tokens exceed the configured limit"),
    "Your input of {} tokens exceeds the context window of this model, whose maximum context length is {} tokens.",
    "Your input exceeds the context window of this model",
)


def body(error: ApiError, request_id: str = "") -> bytes:
    """Returns the error as a whole body. The request's id has no place in it: it stands in a header."""
    kind = KINDS[error.kind]
    code = error.code or kind[3]
    return wire.dumps({"error": {"message": told(error), "type": kind[2], "param": error.param, "code": code}})


def told(error: ApiError) -> str:
    """Returns its message. Not every client reads the code (LangChain's for JavaScript)."""
    return in_words_of(_TOO_LONG, error)


def status(error: ApiError) -> int:
    """Returns the status: 529 is Anthropic's own for an overload, where OpenAI says 503."""
    return 503 if error.status == 529 else error.status
