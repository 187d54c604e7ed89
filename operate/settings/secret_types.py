"""The kinds of values that are secret: keys and passwords. They are never shown, and no error repeats them."""

from __future__ import annotations

import re

from msgspec.structs import replace

from operate import client_keys as keys_of_clients
from operate import installation, key_sources
from operate.settings.list_types import split
from operate.settings.value_types import MASK, PRINTABLE, Kind

SOURCES = "file:/path reads it from a file, cmd:COMMAND, google:FILE and aws: have it made"


_VARIABLE = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*|\([A-Z_][A-Z0-9_]*\))|%[A-Z_][A-Z0-9_]*%|os\.environ/\w+|env[:/.]\w+|\{\{?[\w.:]+\}?\}"
)
"""How shells and other programs name an environment variable. Sent as it is, it would only be a wrong key, and the
upstream's 401 does not say why."""

_QUOTES = ('"', "'", "`")
_ASSIGNED = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*=[^=]")  # a key may end with one or two of these signs


def _sound(text: str) -> str:
    """A key. Raises ValueError."""
    if text[:7].lower() == "bearer ":
        raise ValueError("begins with 'Bearer', which the proxy writes itself; only the key may be there")
    if not PRINTABLE.fullmatch(text):
        raise ValueError("has a blank, or a character that no key may have")
    if text.startswith(_QUOTES) or text.endswith(_QUOTES):
        raise ValueError("has quotes around it, which are no part of a key")
    if _ASSIGNED.match(text):
        raise ValueError("has a name and = before the key, as a file of variables has; only the key may be there")
    if text.startswith('{"'):
        raise ValueError("is JSON, not a key; google:FILE reads the file of a service account")
    if _VARIABLE.fullmatch(text):
        raise ValueError("looks like the name of an environment variable, which is written ${NAME} here")
    return text


def secret() -> Kind:
    """A key that goes into a header, as a str. Where the settings say `file:/path`, its text is what the file holds. It
    may say instead where the key comes from (operate/key_sources.py)."""

    def parse(text: str) -> str:
        if key_sources.is_source(text):
            return key_sources.check(text)
        return _sound(text)

    return Kind(f"a key, or empty; {SOURCES}", parse, _shown, private=True, from_file=True)


def _shown(text: str) -> str:
    return key_sources.shown(text) if key_sources.is_source(text) else text and MASK


def client_keys() -> Kind:
    """tuple[str, ...]: one or more keys of a client, or their hashes, each once."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(map(one, split(text))))
        if not found:
            raise ValueError
        return found

    def one(text: str) -> str:
        _sound(text)
        if keys_of_clients.is_hash(text):
            if not keys_of_clients.is_sound(text):
                raise ValueError(f"must have 64 hexadecimal digits after {keys_of_clients.HASHED}")
        elif len(text) < keys_of_clients.SHORTEST:
            raise ValueError(
                f"has {len(text)} characters, fewer than {keys_of_clients.SHORTEST}; to make a good one: "
                f"{installation.command()} key NAME"
            )
        return text

    expects = f"a key of {keys_of_clients.SHORTEST} or more characters, or several with commas between"
    return replace(
        secrets(),
        expects=f"{expects}; file:/path reads one from a file",
        parse=parse,
        show=lambda keys: ", ".join([MASK] * len(keys)),
    )


def password() -> Kind:
    """A password, as a str. It does not go into a header, so that it may hold any character but a line's end."""
    return replace(
        secret(),
        expects="a password, or empty; file:/path reads it from a file",
        parse=str,
        show=lambda text: text and MASK,
    )


def secrets() -> Kind:
    """A tuple of keys, each once; empty entries are left out."""
    one = secret()

    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.parse(part) for part in split(text)))

    return replace(
        one,
        expects="keys, separated by commas, or empty; each as in api_key",
        parse=parse,
        show=lambda keys: ", ".join(map(_shown, keys)),
        lines=True,
        many=True,
    )
