"""An `Envelope`: how Messages is wrapped for an upstream that has it under another path and in other frames.

The dialect does not change: its translators, its events and its words are the same. What is outside of them differs,
and is in one row for each envelope: the address, the members of the body that stand elsewhere, the places of betas and
version, the frames of a stream, and the fields that the cloud does not take (bridge.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from translate.dialect import Dialect
from translate.envelopes.bridge import BETAS, Bridge
from translate.json import compact_json, top_level, wire
from translate.json.compact_json import Members
from translate.json.top_level import Seen


class Location(NamedTuple):
    """What an address may contain besides the model's name."""

    project: str = ""
    region: str = ""


class Unframing(Protocol):
    """A stream's bytes, however they were cut, as server-sent events."""

    def feed(self, data: bytes) -> bytes:
        """Raises BadReply."""


class Envelope(Struct, frozen=True):
    """One way of wrapping. name: in settings. path(task, model, streams, location): below the base URL, "" if the cloud
    has none for the task. version: what the body says if the client asks for no newer one. left: members of the body
    that the address has. betas_inside: they are a member of the body, not a header. unframing: of streams, None for
    server-sent events. count, counted: what is done to the body of a count, and to its answer."""

    name: str
    dialect: Dialect
    path: Callable[[str, str, bool, Location], str]
    version: str
    left: Mapping[str, tuple[str, ...]]
    betas_inside: bool = False
    unframing: Callable[[], Unframing] | None = None
    bridge: Bridge = field(default_factory=Bridge)
    count: Callable[[bytes], bytes] = lambda body: body
    counted: Callable[[bytes], bytes] = lambda body: body

    def __repr__(self) -> str:
        return f"<Envelope {self.name}>"

    def taken(self, task: str) -> tuple[str, ...]:
        """Returns the members of a body that do not stay where they are."""
        return (*self.left.get(task, ()), "anthropic_version", BETAS)

    def sealed(
        self, body: bytes, task: str, version: str, betas: list[str],
        members: Members | None = None, where: Seen | None = None,
    ) -> bytes:  # fmt: skip
        """Returns a body of Messages as the cloud takes it. version: the client's, "" = it says none. members, where:
        what is already known of the body, from compact_json or from top_level.seen()."""
        first = b'"anthropic_version":"' + wire.inside(self.said_version(version)) + b'"'
        if betas and self.betas_inside:
            first += b',"anthropic_beta":' + wire.dumps(betas)
        if members is None:
            sealed, _ = top_level.taken(body, self.taken(task), first, where)
        else:
            sealed = compact_json.without(body, members, self.taken(task), first)
        return self.count(sealed) if task else sealed

    def said_version(self, version: str) -> str:
        """Returns the cloud's own word for the version of 2023, which all clients but the newest ask for."""
        return version if version > NEWEST_RENAMED else self.version


NEWEST_RENAMED = "2023-06-01"
