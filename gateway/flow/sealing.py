"""A request of Messages put into its upstream's envelope (translate/envelopes/): the body, and the headers with it."""

from __future__ import annotations

from collections.abc import Container, Sequence

from msgspec import Struct

from translate.envelopes.bridge import Bridge
from translate.envelopes.envelope import Envelope
from translate.json import compact_json, top_level

_VERSION, _BETA = "anthropic-version", "anthropic-beta"
_COMMON = "anthropic-"


class Seal(Struct, frozen=True):
    """What is the same for all requests of a turn. lines: the header lines that remain. left: betas that the cloud does
    not take."""

    envelope: Envelope
    bridge: Bridge
    task: str
    version: str
    betas: list[str]
    lines: list[str]
    left: list[str]

    def body(self, body: bytes) -> tuple[bytes, list[str]]:
        """Returns a body of Messages as it is sent, and what is left out of it."""
        members, where = compact_json.members(body), None
        seen: Container[str]
        if members is not None:
            seen = members.keys() | {name for name in self.bridge.inner if body.rfind(f'"{name}"'.encode()) >= 0}
        else:
            names = *self.bridge.fields, *self.bridge.inner, *self.envelope.taken(self.task)
            seen = where = top_level.seen(body, names)
        crossed, left = self.bridge.crossed(body, seen)
        if crossed is not body:
            members = where = None
        return self.envelope.sealed(crossed, self.task, self.version, self.betas, members, where), left


def seal(envelope: Envelope, task: str, lines: Sequence[str], learned: Sequence[str] = ()) -> Seal:
    """Makes the Seal. lines: the header lines of a request of Messages. learned: what the cloud is known not to take
    besides its table."""
    bridge = envelope.bridge.also(learned) if learned else envelope.bridge
    kept: list[str] = []
    said: dict[str, list[str]] = {_VERSION: [], _BETA: []}
    for line in lines:
        name, _, value = line.partition(":") if line[:10].lower() == _COMMON else ("", "", "")
        if (found := said.get(name.lower())) is None:
            kept.append(line)
        else:
            found += filter(None, map(str.strip, value.split(",")))
    betas, gone = bridge.takes(list(dict.fromkeys(said[_BETA])))
    if betas and not envelope.betas_inside:
        kept.append(f"{_BETA}: {','.join(betas)}")
    version = said[_VERSION][-1] if said[_VERSION] else ""
    return Seal(envelope, bridge, task, version, betas, kept, [f"{_BETA} {name}" for name in gone])
