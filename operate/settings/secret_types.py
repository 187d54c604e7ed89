"""The kinds of values that nobody may see: keys and passwords. They are never shown, and no error repeats them."""

from __future__ import annotations

from dataclasses import replace

from operate.settings.list_types import split
from operate.settings.value_types import MASK, PRINTABLE, Kind

SHORTEST_CLIENT_KEY = 16
"""Characters. A client key may face the network, where a short one can be guessed."""


def secret(shortest: int = 0) -> Kind:
    """A key that goes into a header. The text comes here with `file:` already followed."""

    def parse(text: str) -> str:
        if not PRINTABLE.fullmatch(text):
            raise ValueError("holds a blank or a character that no key has")
        if len(text) < shortest:
            raise ValueError(
                f"has {len(text)} characters, fewer than {shortest}; a good one: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
            )
        return text

    expects = f"a key of {shortest} or more characters" if shortest else "a key, or empty"
    return Kind(
        f"{expects}; file:/path reads it from a file",
        parse,
        lambda text: text and MASK,
        private=True,
        from_file=True,
    )


def password() -> Kind:
    """str: goes into no header, so that it may hold anything but a line's end."""
    return replace(secret(), expects="a password, or empty; file:/path reads it from a file", parse=str)


def secrets() -> Kind:
    """tuple[str, ...]: several such keys, each once; empty entries are left out."""
    one = secret()

    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.parse(part) for part in split(text)))

    return replace(
        one,
        expects="keys with commas between, or empty; file:/path reads one from a file",
        parse=parse,
        show=lambda keys: ", ".join([MASK] * len(keys)),
        lines=True,
        many=True,
    )
