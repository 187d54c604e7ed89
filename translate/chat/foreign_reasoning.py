"""A Chat request less the reasoning details that its upstream never signed."""

from __future__ import annotations

from typing import Any

from translate.json.json_fields import Body, objects_of
from translate.reasoning import sealed_reasoning


def without(body: Body) -> list[str]:
    """Takes out the details that are sealed. The words (reasoning_content) are no proof, and stay."""
    found = False
    for message in objects_of(body, "messages"):
        details = message.get("reasoning_details")
        if isinstance(details, list):
            kept = [each for each in details if not _is_sealed_detail(each)]
            if len(kept) < len(details):
                found = True
                message["reasoning_details"] = kept
                if not kept:
                    del message["reasoning_details"]
    return ["messages.reasoning_details"] if found else []


def _is_sealed_detail(detail: Any) -> bool:
    return isinstance(detail, dict) and (
        sealed_reasoning.is_seal(detail.get("signature")) or sealed_reasoning.is_seal(detail.get("data"))
    )
