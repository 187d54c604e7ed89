"""The keys of clients: how a key is made, and the hash that settings.ini may have instead of the key.

Keys are compared by their SHA-256, so that a comparison takes the same time for every wrong key. A key has 256 random
bits, so that nobody can find it from its hash by trying, and no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import re
import secrets

HASHED = "sha256:"
SHORTEST = 16
"""The fewest characters of a key. Clients may come over the network, where a short key can be guessed."""

_HEX = re.compile(r"[0-9a-fA-F]{64}")


def digest(key: str) -> bytes:
    """The digest of a key that a client has sent."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def digest_in_settings(text: str) -> bytes:
    """The digest of a key in the settings, which may be the key or its hash."""
    return bytes.fromhex(text.removeprefix(HASHED)) if is_hash(text) else digest(text)


def is_hash(text: str) -> bool:
    return text.startswith(HASHED)


def is_sound(text: str) -> bool:
    """Whether the text after `sha256:` is a SHA-256 in hex."""
    return _HEX.fullmatch(text.removeprefix(HASHED)) is not None


def made() -> str:
    """A new key."""
    return f"sk-proxy-{secrets.token_urlsafe(32)}"


def hashed(key: str) -> str:
    """The hash that settings.ini may have instead of the key."""
    return HASHED + digest(key).hex()
