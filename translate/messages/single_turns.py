"""The messages of a request in which each is one text: translation leaves these as they are, one for one."""

from __future__ import annotations

from typing import Any

from translate.counting.text_turns import TextRequest

_ASIDE = frozenset({
    "model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences",
    "metadata", "thinking",
})  # fmt: skip


def said(body: dict[str, Any]) -> TextRequest | None:
    """Returns None where translation may join texts, or add some."""
    messages, system = body.get("messages"), body.get("system")
    if not body.keys() <= _ASIDE or not isinstance(messages, list):
        return None
    found: list[tuple[str, list[str]]] = []
    if system:
        if (text := _text(system)) is None:
            return None
        found.append(("system", [text]))
    before = "assistant"
    for message in messages:
        if not isinstance(message, dict) or not message.keys() <= {"role", "content"}:
            return None
        role, text = message.get("role"), _text(message.get("content"))
        if not text or role == before or role not in ("user", "assistant"):
            return None
        found.append((role, [text]))
        before = role
    return TextRequest(found, {}) if before == "user" else None  # else the answer is begun


def _text(content: Any) -> str | None:
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = content[0]
        content = part.get("text") if part.get("type") == "text" and not part.get("citations") else None
    return content if isinstance(content, str) else None
