"""How many bytes of an upstream's reply are held, if the reply is gathered until its end."""

from __future__ import annotations

from typing import NamedTuple


class Gathered(NamedTuple):
    """The most bytes of each. error_bytes: its limit is smaller, because some errors repeat all of the request, or
    never end."""

    reply_bytes: int = 64 << 20
    error_bytes: int = 256 << 10


GATHERED = Gathered()
