"""The checkers of streams, where the conformance kit has them."""

from __future__ import annotations

from conformance.grammar import check_chat, check_messages, check_responses

__all__ = ["check_chat", "check_messages", "check_responses"]
