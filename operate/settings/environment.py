"""Reads values that are outside of the settings file: `${NAME}` from the environment, `file:/path` from a file, and
`cred:NAME` from a credential of systemd.

`${NAME:default}`, or `${NAME:-default}` as in a shell, is the default if NAME is not set or empty. The default may hold
`${...}` again; the braces inside it must balance, so that it can be JSON. A default that begins with `-` has it twice.
`$${` stands for a plain `${`. The value of a variable is not expanded again. An
expansion also records which variables it named and which it used: --print-config shows them, and messages such as
"set ANTHROPIC_API_KEY" name them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from operate.settings.errors import in_utf_16, unread

DEEPEST = 20
"""How deep defaults may hold references. A deeper one is a mistake."""

LARGEST_SECRET = 65536
"""The most bytes that the file of a secret may have. A larger file was named by mistake."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class Expanded(Struct):
    """The result of an expansion. text: the value. named: every variable that it mentions. used: the variables whose
    content is in the text. faults: messages about what could not be expanded."""

    text: str = ""
    named: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def expand(raw: str, environ: Mapping[str, str]) -> Expanded:
    """Replaces each `${...}` of `raw`, and cuts the blanks around the result."""
    result = Expanded()
    try:
        text, _ = _expand(raw, 0, environ, result, depth=0, live=True)
    except _MalformedError as error:
        result.faults = [str(error)]  # the text after it would be misread, so that this is the only fault reported
        return result
    result.text = text.strip()
    return result


class _MalformedError(Exception):
    """Says that a `${` does not begin a reference."""


def _expand(raw: str, at: int, environ: Mapping[str, str], result: Expanded, depth: int, live: bool) -> tuple[str, int]:
    """Expands `raw` from `at` on -> (text, where it ends): to the end of `raw` or, for depth > 0, past the brace that
    closes the default. live: whether the text is used; in a default that is not used, an unset variable is no fault."""
    out: list[str] = []
    braces = 0
    while at < len(raw):
        if raw.startswith("$${", at):
            out.append("${")
            braces += 1
            at += 3
        elif raw.startswith("${", at):
            text, at = _reference(raw, at + 2, environ, result, depth, live)
            out.append(text)
        elif depth and raw[at] == "}" and not braces:
            return "".join(out), at + 1
        else:
            braces += {"{": 1, "}": -1}.get(raw[at], 0)
            out.append(raw[at])
            at += 1
    if depth:
        raise _MalformedError("a '${' has no closing '}'")
    return "".join(out), at


def _reference(
    raw: str, at: int, environ: Mapping[str, str], result: Expanded, depth: int, live: bool
) -> tuple[str, int]:
    """Expands one reference, whose name begins at `at` -> (its text, the index after its closing brace)."""
    match = _NAME.match(raw, at)
    end = match.end() if match else at
    if not match or end >= len(raw) or raw[end] not in ":}":
        raise _MalformedError("after '${' must come NAME} or NAME:default}, where NAME has letters, digits and _")
    if depth >= DEEPEST:
        raise _MalformedError(f"a default holds '${{' more than {DEEPEST} levels deep")
    name = match.group()
    if name not in result.named:
        result.named.append(name)
    value = environ.get(name)
    default = None
    if raw[end] == ":":
        begins = end + 1 + raw.startswith("-", end + 1)
        default, end = _expand(raw, begins, environ, result, depth + 1, live and not value)
    else:
        end += 1
    if value or (value is not None and default is None):
        if live and value and name not in result.used:
            result.used.append(name)
        return value, end
    if default is None:
        if live:
            result.faults.append(f"the environment variable {name} is not set, and ${{{name}}} has no default")
        return "", end
    return default, end


def read_secret(value: str, folder: Path, environ: Mapping[str, str]) -> str:
    """The content of the file that `file:PATH` or `cred:NAME` names, without the blanks around it; any other value
    is returned as it is. A relative PATH starts at `folder`. Raises ValueError with a message if the file cannot be
    used."""
    if value.startswith("file:"):
        path = folder / value.removeprefix("file:").strip()
    elif value.startswith("cred:"):
        path = _credential(value.removeprefix("cred:").strip(), environ)
    else:
        return value
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {unread(error)}") from error
    if len(content) > LARGEST_SECRET:
        raise ValueError(f"{path} has more than {LARGEST_SECRET} bytes: it is too large for a key")
    if why := in_utf_16(content):
        raise ValueError(f"{path} {why}")
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("ascii").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} has bytes that are not ASCII, which no key may have") from None
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    """The file of a credential of systemd. Source: https://systemd.io/CREDENTIALS"""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError("after cred: must come the name of a credential, without a path")
    if not folder:
        raise ValueError(
            f"$CREDENTIALS_DIRECTORY is not set; systemd sets it if the unit has LoadCredential={name}:/path"
        )
    return Path(folder) / name
