"""What people look at sees requests as those of long conversations are: parts of them are remembered."""

from __future__ import annotations

from tests.gateway.conftest import everything_recurs as everything_recurs
