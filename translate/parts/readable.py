"""Tells in words what a protocol has no form for, as a person would read it.

This is used if a part crosses to a protocol that cannot hold it, and the model would lose something that it was shown:
a search result's title and address, a plain-text document, a failed tool's output.
"""

from __future__ import annotations

import re
from typing import Any

from translate.conversation import Document, Unknown
from translate.failures.errors import BadRequest
from translate.fields.ledger import Table
from translate.target import Protocol

REMINDER = "<system-reminder>\n{}\n</system-reminder>"  # how Claude Code itself marks an instruction in user text
NO_OUTPUT = "(no output)"
OUTPUT_OF = "[output of the tool call {}]"  # before pictures and files that stand apart from it
SEE_NEXT = "[{}: see the next user message]"  # in their place
GO_ON = "Go on exactly where your answer above ends, and repeat nothing of it."  # after an answer that has begun
OPENING = "(conversation continues)"  # stands for the user's turn that a cut history has lost

_HIDDEN = re.compile(r"encrypted|_id$|^id$|^(file_)?type$|^status$|signature|fingerprint|media_type|^data$|^call(er)?$")
_MEDIA = ("video_url", "input_video", "audio_url", "file", "input_file")
_FILMS = ("video", "audio")
_BINARY = re.compile(r"data:[^,]{0,99};base64,|[A-Za-z0-9+/_-]{1000}")


def unknown(part: Unknown, upstream: Protocol, known: Table) -> str:
    """Returns the words of a part. "" = there is nothing to read, or the model is not meant to read it. known: the
    ledger of the part's own protocol, which names the parts that the model is not meant to read. Raises BadRequest for
    input that the model must see."""
    if part.kind in _MEDIA:
        raise BadRequest(f"{part.kind}: content of this type cannot be sent to this upstream")
    if part.kind == "compaction":  # its summary stands for all that went before
        return str(part.raw.get("content") or "")
    if part.kind == "tool_reference":
        return f"Tool {part.raw.get('tool_name')} is now available."
    if part.kind in ("tool_addition", "tool_removal"):
        return _change(part)
    if known.is_dropped(upstream, part.kind) or not (texts := _strings(part.raw)):
        return ""
    text = "\n".join(texts)
    inner = part.raw.get("content")
    broken = isinstance(inner, dict) and str(inner.get("type")).endswith("_error")
    if part.raw.get("is_error") is True or broken:
        text = failed(text)
    return text if part.kind.endswith("result") else f"[{part.kind}]\n{text}"


def check_readable(document: Document) -> None:
    """Raises BadRequest for a film or a sound, which a protocol that has files for reading would take for one."""
    family = document.media_type.partition("/")[0]
    if family in _FILMS:
        field = f"{family}_url" if document.url else "file"
        raise BadRequest(f"{field}: {document.media_type} cannot be sent to this upstream, which takes no {family}")


def has_bytes(part: Unknown) -> bool:
    """Tells whether a part holds a file that its words leave out."""
    return _has_bytes(part.raw)


def _has_bytes(value: Any) -> bool:
    if isinstance(value, str):
        return _BINARY.match(value) is not None
    if isinstance(value, list):
        return any(map(_has_bytes, value))
    return isinstance(value, dict) and any(
        _has_bytes(item) if _is_shown(key, value) else key == "data" and bool(item) for key, item in value.items()
    )


def _change(part: Unknown) -> str:
    """Returns how a tool comes or goes in mid-conversation, "" for one that the provider alone can call."""
    tool = part.raw.get("tool")
    tool = tool if isinstance(tool, dict) else {}
    inner = tool.get("definition") if tool.get("type") == "tool_definition" else tool
    name = inner.get("name") if isinstance(inner, dict) and "server_name" not in inner else None
    become = "now" if part.kind == "tool_addition" else "no longer"
    return f"Tool {name} is {become} available." if isinstance(name, str) and name else ""


def _strings(value: Any) -> list[str]:
    """Returns the strings in a block, but for ids and ciphers, and how a program ended that a provider has run, unless
    it ended well."""
    if isinstance(value, str):
        return [value] if value and not _BINARY.match(value) else []
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    if isinstance(value, dict):
        texts = [text for key, item in value.items() if _is_shown(key, value) for text in _strings(item)]
        code = value.get("return_code")
        return [*texts, f"exit code {code}"] if code and isinstance(code, int) else texts
    return []


def _is_shown(key: str, holder: dict[str, Any]) -> bool:
    """Tells whether a field is for the model to read. The `data` of a plain-text document, as of a page that was
    fetched, is its text."""
    return not _HIDDEN.search(key) or (key == "data" and holder.get("type") == "text")


def titled(title: str, text: str) -> str:
    """Returns a plain-text document with its title."""
    return f'<document title="{title}">\n{text}\n</document>' if title else f"<document>\n{text}\n</document>"


def failed(text: str) -> str:
    """Returns a failed tool's output, for a protocol that cannot mark it as one."""
    if text.lstrip().lower().startswith(("error", "<tool_use_error")):
        return text
    return f"Error: {text or NO_OUTPUT}"
