"""`reasoning_details`: how Chat servers in front of other providers carry reasoning that must go back.

An entry (OpenRouter's form) is a text with its signature, a summary, or encrypted data. A client that
echoes them keeps, say, Anthropic's signatures alive. The raw entry stays with the part (ext) and goes back
as it came; where there is none, the entry is built from what the part holds. Nothing here is ever made up.

LiteLLM has `thinking_blocks` instead: entries in the words of Messages, which go back under that name alone. Of Gemini
they hold no thought, but the signed part of the answer in JSON. GitHub Copilot has one proof for all of a message's
thoughts, `reasoning_opaque`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from translate.conversation import Thinking
from translate.json.lenient import loads
from translate.reasoning import sealed_reasoning

BLOCKS, OPAQUE = "thinking_blocks", "reasoning_opaque"
NAMES = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thinking_content")  # the third one: Copilot
_THOUGHT, _REDACTED = "thinking", "redacted_thinking"  # the types of blocks
_TEXT_KEY = {"reasoning.text": "text", "reasoning.summary": "summary", _THOUGHT: "thinking"}
_PART = frozenset(("text", "thought", "functionCall", "inlineData", "executableCode", "codeExecutionResult"))
PIECES = ("text", "summary", "thinking", "signature")  # what of an entry arrives piece by piece


def said_in(value: Any) -> str:
    """Returns the text of reasoning: it stands as such under one of its names, in an object, or in a list."""
    each = value if isinstance(value, list) else [value]
    return "".join(one if isinstance(one, str) else _within(one) for one in each)


def _within(said: Any) -> str:
    found = [said.get(key) for key in ("text", "content", "thinking", "reasoning")] if isinstance(said, dict) else []
    return next((text for text in found if isinstance(text, str) and text), "")


def is_block(entry: dict[str, Any]) -> bool:
    return entry.get("type") in (_THOUGHT, _REDACTED)


def is_part(entry: dict[str, Any]) -> bool:
    """Tells whether a block is a part of Gemini's answer."""
    text = entry.get("thinking")
    if not isinstance(text, str) or text[:1] != "{" or not is_block(entry):
        return False
    part = loads(text.encode("utf-8", "replace"))
    return isinstance(part, dict) and bool(part) and part.keys() <= _PART


def text_in(detail: dict[str, Any]) -> str:
    """Returns the readable text of an entry, "" for an encrypted one."""
    text = detail.get(_TEXT_KEY.get(str(detail.get("type")), ""))
    return text if isinstance(text, str) and not is_part(detail) else ""


def data_in(detail: dict[str, Any]) -> str:
    data = detail.get("data")
    return data if isinstance(data, str) and detail.get("type") in ("reasoning.encrypted", _REDACTED) else ""


def signature_in(detail: dict[str, Any]) -> str:
    signature = detail.get("signature")
    return signature if isinstance(signature, str) else ""


def neutral(proof: str, detail: dict[str, Any]) -> str:
    """Returns an upstream's signature or data, which it gave in this entry, as a neutral one."""
    return sealed_reasoning.of_block(proof) if is_block(detail) else sealed_reasoning.of_upstream(proof, "chat")


def provider_in(detail: dict[str, Any]) -> str:
    """Returns the provider that has signed it; "" = unknown."""
    told = "google" if is_part(detail) else detail.get("format")
    return told if isinstance(told, str) and told != "unknown" else ""


def read(details: list[Any]) -> list[Thinking]:
    """Returns a whole message's entries as parts, one for each; what is no object is left out."""
    return [
        Thinking(text_in(raw), signature_in(raw), data_in(raw), {"chat": {"detail": raw}}, provider_in(raw))
        for raw in details
        if isinstance(raw, dict)
    ]


def write(part: Thinking, text: str, signature: str, index: int) -> dict[str, Any] | None:
    """Returns the entry for a part of a reply, or None where reasoning_content says all there is to say.

    `text` and `signature` are the part's as gathered from its events; index counts the reply's entries.
    """
    if opaque := sealed_reasoning.opaque_in(part):
        return {"type": OPAQUE, "data": opaque}
    if sealed_reasoning.is_of_block(signature or part.encrypted):
        return restore(own(replace(part, text=text, signature=signature)), index)
    origin: dict[str, Any] = part.ext.get("chat", {}).get("detail", {})
    if part.encrypted:
        return {"type": "reasoning.encrypted"} | origin | {"data": part.encrypted, "index": index}
    if not signature:
        return None
    known: dict[str, Any] = {key: origin[key] for key in ("id", "format") if key in origin}
    return {"type": "reasoning.text", "text": text, "signature": signature, **known, "index": index}


def fields(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the entries as fields of a message: blocks have one of their own, and so has Copilot's proof."""
    found: dict[str, Any] = {}
    for entry in entries:
        if entry.get("type") == OPAQUE:
            found[OPAQUE] = entry["data"]
            continue
        found.setdefault(BLOCKS if is_block(entry) else "reasoning_details", []).append(entry)
    return found


def to_copilot(parts: list[Thinking]) -> dict[str, str]:
    """Returns the fields that Copilot wants back with a message; {} where it has not proved its thoughts."""
    opaque = next(filter(None, map(sealed_reasoning.opaque_in, parts)), "")
    text = "\n\n".join(part.text for part in parts if part.text)
    return ({"reasoning_text": text} if text else {}) | {OPAQUE: opaque} if opaque else {}


def own(part: Thinking) -> Thinking:
    """Returns the part of a history with the proof that a Chat upstream has given for it, without any other's. Every
    provider may read its text."""
    if not sealed_reasoning.is_of_block(part.signature or part.encrypted):
        return sealed_reasoning.to_upstream(part, "chat") or replace(part, signature="", encrypted="", ext={})
    opened = sealed_reasoning.to_upstream(part, sealed_reasoning.BLOCKS) or part
    kind = _THOUGHT if part.signature else _REDACTED
    return replace(opened, ext={"chat": {"detail": {"type": kind}}})


def restore(part: Thinking, index: int) -> dict[str, Any] | None:
    """Returns the entry for a part of a history: as it came, with the part's words and proof, else built, else None."""
    raw: dict[str, Any] = part.ext.get("chat", {}).get("detail", {})
    if not raw:
        return write(part, part.text, part.signature, index)
    if is_block(raw) and not (part.signature or part.encrypted or raw.keys() & {"signature", "data"}):
        return None  # Anthropic refuses a block without its proof
    said = {"signature": part.signature, "data": part.encrypted}
    if (key := _TEXT_KEY.get(str(raw.get("type")))) and not raw.get(key):
        said[key] = part.text
    return raw | {key: value for key, value in said.items() if value}
