"""The kinds of values that are secret: keys and passwords. They are never shown, and no error repeats them."""

from __future__ import annotations

from dataclasses import replace

from operate.settings.list_types import split
from operate.settings.value_types import MASK, PRINTABLE, Kind

SHORTEST_CLIENT_KEY = 16
"""The fewest characters of a client's key. Clients may come over the network, where a short key can be guessed."""


def secret(shortest: int = 0) -> Kind:
    """A key that goes into a header, as a str. Where the settings say `file:/path`, its text is what the file holds."""

    def parse(text: str) -> str:
        if not PRINTABLE.fullmatch(text):
            raise ValueError("has a blank, or a character that no key may have")
        if len(text) < shortest:
            raise ValueError(
                f"has {len(text)} characters, fewer than {shortest}; to make a good one: "
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
    """A password, as a str. It does not go into a header, so that it may hold any character but a line's end."""
    return replace(secret(), expects="a password, or empty; file:/path reads it from a file", parse=str)


def secrets() -> Kind:
    """A tuple of keys, each once; empty entries are left out."""
    one = secret()

    def parse(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.parse(part) for part in split(text)))

    return replace(
        one,
        expects="keys, separated by commas, or empty; file:/path reads one from a file",
        parse=parse,
        show=lambda keys: ", ".join([MASK] * len(keys)),
        lines=True,
        many=True,
    )
