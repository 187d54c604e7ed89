"""Signatures for AWS (SigV4): what libcurl, which makes them, needs for one request.

libcurl signs every header that it is given. The body's digest is given to it as a header, because it gets the body
piece by piece, and so is the session's token. A header that occurs twice becomes one line, since not every proxy on the
way keeps both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gateway.credentials.minted import Minted
from operate.settings.upstreams import Upstream
from upstream.request import Signing

# Proxies on the way replace these; AWS's own clients do not sign them either.
_UNSIGNED = ("x-amzn-trace-id", "authorization", "x-api-key", "x-amz-date")


def signed(
    upstream: Upstream, minted: Minted | None, lines: Sequence[str], body: bytes | None
) -> tuple[list[str], Signing | None]:
    """Returns the header lines of a request, and what its signature is made with; None if its key goes into a
    header."""
    if minted is None or minted.aws is None:
        return [*lines], None
    joined: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        low, value = name.lower(), value.strip()
        if "  " in value or "\t" in value:
            value = " ".join(value.split())
        joined[low] = f"{joined[low]},{value}" if low in joined else value
    for name in _UNSIGNED:
        joined.pop(name, None)
    user_agent = joined.pop("user-agent", "")
    joined["x-amz-content-sha256"] = hashlib.sha256(body or b"").hexdigest()
    if minted.aws.session:
        joined["x-amz-security-token"] = minted.aws.session
    provider = f"aws:amz:{upstream.region}:{upstream.aws_service}"
    signing = Signing(provider, f"{minted.aws.access}:{minted.aws.secret}", user_agent)
    return [f"{name}: {value}" for name, value in joined.items()], signing
