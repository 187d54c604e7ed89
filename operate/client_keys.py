"""The keys of clients: how one is made, and how settings.ini may hold its hash instead of the key itself.

Keys are compared by their SHA-256, so that a comparison takes the same time whatever is wrong. A key has 256 random
bits: nobody finds it from its hash by trying, and no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import re
import secrets

HASHED = "sha256:"
SHORTEST = 16
"""Characters of a key. It may face the network, where a short one can be guessed."""

_HEX = re.compile(r"[0-9a-fA-F]{64}")


def digest(key: str) -> bytes:
    """Of a key that a client has sent."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def digest_in_settings(text: str) -> bytes:
    """The same of what the settings say, be it the key or its hash."""
    return bytes.fromhex(text.removeprefix(HASHED)) if is_hash(text) else digest(text)


def is_hash(text: str) -> bool:
    return text.startswith(HASHED)


def is_sound(text: str) -> bool:
    """Whether the text after `sha256:` is such a hash."""
    return _HEX.fullmatch(text.removeprefix(HASHED)) is not None


def made() -> str:
    """A new key."""
    return f"sk-proxy-{secrets.token_urlsafe(32)}"


def hashed(key: str) -> str:
    """What settings.ini may have in the key's place."""
    return HASHED + digest(key).hex()
