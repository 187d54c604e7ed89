"""What the panels of the dashboard read."""

from __future__ import annotations

from msgspec import Struct

from console.books import Books
from console.dashboard.trouble import Troubles
from console.dashboard.watch import Watch
from gateway.runtime import Service


class Board(Struct, frozen=True):
    service: Service
    watch: Watch
    books: Books
    troubles: Troubles
