"""Values that live outside the settings file: `${NAME}` from the environment, `file:/path` from a file, `cred:NAME`
from a credential that systemd hands over.

`${NAME:default}` gives the default where NAME is unset or empty, and the default may hold `${...}` again;
braces inside it must balance, so JSON fits. `$${` stands for a plain `${`. What the environment gives is
taken as it is, never expanded again. Every expansion also tells which variables it named and which it used:
that is what --print-config shows, and what "set ANTHROPIC_API_KEY" in a message is made from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEEPEST = 20
"""Defaults within defaults; more is a slip of the hand, not a setting."""

LARGEST_SECRET = 65536
"""Bytes read from a `file:` secret: far above any key, far below a file named by mistake."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(slots=True)
class Expanded:
    """text: the value. named: every variable it mentions. used: those whose content is in the text.
    faults: what could not be expanded, in words."""

    text: str = ""
    named: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def expand(raw: str, environ: Mapping[str, str]) -> Expanded:
    """`raw` with its `${...}` replaced; blanks around the result are cut, as a file's value has none
    either."""
    result = Expanded()
    try:
        text, _ = _expand(raw, 0, environ, result, depth=0, live=True)
    except _MalformedError as error:
        result.faults = [
            str(error)
        ]  # what follows the slip would be misread, so that it is the one fault told
        return result
    result.text = text.strip()
    return result


class _MalformedError(Exception):
    """A `${` that is no reference."""


def _expand(
    raw: str, at: int, environ: Mapping[str, str], result: Expanded, depth: int, live: bool
) -> tuple[str, int]:
    """From `at` to the end, or (depth > 0) to the brace that closes the default. Not `live`: the default is
    not wanted, so what is unset in it is no fault."""
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
        raise _MalformedError("a '${' is not closed by '}'")
    return "".join(out), at


def _reference(
    raw: str, at: int, environ: Mapping[str, str], result: Expanded, depth: int, live: bool
) -> tuple[str, int]:
    """One reference whose `${` ends before `at` -> (its text, the place after its brace)."""
    match = _NAME.match(raw, at)
    end = match.end() if match else at
    if not match or end >= len(raw) or raw[end] not in ":}":
        raise _MalformedError("after '${' comes NAME} or NAME:default}, NAME of letters, digits and _")
    if depth >= DEEPEST:
        raise _MalformedError(f"'${{' more than {DEEPEST} deep")
    name = match.group()
    if name not in result.named:
        result.named.append(name)
    value = environ.get(name)
    default = None
    if raw[end] == ":":
        default, end = _expand(raw, end + 1, environ, result, depth + 1, live and not value)
    else:
        end += 1
    if value or (value is not None and default is None):
        if live and value and name not in result.used:
            result.used.append(name)
        return value, end
    if default is None:
        if live:
            result.faults.append(
                f"the environment variable {name} is not set, and ${{{name}}} gives no default"
            )
        return "", end
    return default, end


def read_secret(value: str, folder: Path, environ: Mapping[str, str]) -> str:
    """`file:PATH` or `cred:NAME` -> what that file holds, blanks around it cut; anything else as it is. A relative
    PATH counts from `folder`. ValueError, in words, where the file cannot be read."""
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
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > LARGEST_SECRET:
        raise ValueError(f"{path} is over {LARGEST_SECRET} bytes, too large for a key")
    try:
        text = content.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds bytes that no key has (not ASCII)") from None
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    """Where systemd puts it. https://systemd.io/CREDENTIALS"""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError("after cred: comes the name of a credential, without a path")
    if not folder:
        raise ValueError(
            f"there is no $CREDENTIALS_DIRECTORY: systemd sets it for a service with LoadCredential={name}:/path"
        )
    return Path(folder) / name
