"""What an upstream cannot do, in words that a client of Messages understands.

Claude Code reads the message of an error for Anthropic's own words and, from gateways, for a fixed token:
`capability_rejected: NAME`. It then leaves out what was refused and goes on. An upstream of another protocol has other
words. They stay, and the token, or Anthropic's sentence about an unknown type, is added to them.
"""

from __future__ import annotations

import re

TOKEN = "capability_rejected: "

# Patterns that only errors need are texts: re compiles each at its first use, and keeps it.
_REFUSES = (
    r"(?i)\b(not|cannot|can't|doesn't|don't|isn't|never|no|un(?:supported|known|recognized|expected)|invalid|forbidden"
    r"|only supports?|refused|another provider)\b"
)
# A pattern for an error's words or its field -> the client's name for that. The first match counts.
_ABOUT = (
    (
        r"(?i)\breasoning[_.]effort\b|\boutput_config\.effort\b|\beffort (?:parameter|level)"
        r"|\breasoning (?:is|are) not|\bunsupported (?:parameter|value): '?(?:reasoning|effort)",
        "effort_unsupported",
    ),
    (
        r"(?i)\bresponse_format\b|\bjson_schema\b|\bstructured output|\btext\.format\b|\boutput_config\.format\b",
        "structured_outputs_unsupported",
    ),
    (r"(?i)\bthinking[._]type\b[^a-z]{1,8}enabled", "thinking_type:enabled"),
    (r"(?i)\bthinking[._]type\b[^a-z]{1,8}adaptive", "thinking_type:adaptive"),
    (r"(?i)\bimage(?:s|_url|_file)?\b|\bvision\b|\bmultimodal\b", "image_block"),
    (r"(?i)\b(?:document|pdf|input_file|file_data)s?\b", "document_block"),
    (r"(?i)\bcache_control\b", "cache_control_field"),
    (r"(?i)\brole\b.{0,12}\bsystem\b|\bsystem messages?\b", "mid_conv_system"),
)
_TYPE = r"(?s)Invalid value: '([\w.-]{1,64})'\. Supported values are: (.{1,2000}?)\.?$"
_TOOL = r"tools\[(\d{1,4})\](?:\.type)?"
_FIELD = (
    r"(?i)un(?:supported|known|recognized) (?:parameter|field|request argument supplied|value): [`'\"]?([\w.]{1,64})"
)
_MOST = 4096  # characters of a message that are read


def with_token(message: str, field: str = "") -> str:
    """Returns the message of an invalid request, with the token that the client acts on. field: the one that the
    upstream names."""
    if TOKEN in message or "Input tag '" in message:
        return message
    said = message[:_MOST]
    if (tool := re.match(_TOOL, field)) and (odd := re.search(_TYPE, said)):
        return f"tools.{tool[1]}: {input_tag(odd[1], odd[2])} ({message})"
    name = _name(said, field)
    return f"{message} ({TOKEN}{name})" if name else message


def of_left(fields: list[str]) -> str:
    """Returns the same for fields that this proxy would have to leave out."""
    kinds = ((field, field.removeprefix("tools.")) for field in fields)
    return "; ".join(TOKEN + field if kind == field else input_tag(kind, "'custom'") for field, kind in kinds)


def input_tag(kind: str, expected: str) -> str:
    """Returns Anthropic's sentence about a type that it does not know."""
    return f"Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"


def _name(said: str, field: str) -> str:
    if not re.search(_REFUSES, said):
        return ""
    for pattern, name in _ABOUT:
        if re.search(pattern, field) or re.search(pattern, said):
            return name
    found = re.search(_FIELD, said)
    return found[1].rstrip(".") if found else ""
