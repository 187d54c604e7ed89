"""What upstreams teach by their 400s: fields that one of their models does not take, remembered for a day.

`LearnedQuirks` keeps what was learned for each upstream and model, bounded and with expiry, and gives it to the
translation of later requests. Of several clients, one alone teaches for itself. Bytes that pass through are not
touched, but for the form of embeddings (vectors.py), and where the client has named another model. teaching.py learns
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.refusals import strip_fields, told_limits
from gateway.refusals.told_limits import ONLY_STREAMS
from gateway.routing.router import Route
from translate import dialects, pair
from translate.conversation import Turn
from translate.failures.errors import BadRequest
from translate.fields import fit
from translate.json import top_level, wire
from translate.target import Encoded, Protocol, Target

MAX_LEARNED = 1_000  # pairs of upstream and model; there is a limit because clients choose the names of models
MAX_EACH = 16  # fields of one pair
EXPIRY_S = 24 * 3600.0  # after a day the server may take the field

# How the field of a quirk begins that is about no field but about a limit (told_limits.py). So it is kept, expires, is
# withdrawn and goes to other workers like any other.
SETTING = "[upstream] "


class Quirk(Struct, frozen=True):
    """A field of the upstream's body ("temperature", "reasoning.summary"). instead: the name to send it under, "" =
    leave the field out. beside: leave it out only if this field is there, too."""

    field: str
    instead: str = ""
    beside: str = ""

    @property
    def setting(self) -> str:
        """The setting of [upstream] that stands for it; "" if it is about a field."""
        return self.field.removeprefix(SETTING) if self.field.startswith(SETTING) else ""

    def __str__(self) -> str:
        if self.setting == ONLY_STREAMS:
            return "a whole reply is asked for as a stream, and put together"
        if self.setting:
            return f"its {self.setting} is {self.instead}"
        if self == NO_PROOFS:
            return "what another gateway has signed of earlier thinking and calls is left out"
        if self == THOUGHTS:
            return "earlier thinking is sent back, and a blank where there was none (reasoning_history = always)"
        if self.beside:
            return f"'{self.field}' is left out beside '{self.beside}'"
        return f"'{self.field}' is sent as '{self.instead}'" if self.instead else f"'{self.field}' is left out"


CHOICE = "tool_choice"
NO_MARKS = Quirk("cache_control")  # for the marks that the proxy adds; a client has to know about its own
NO_USAGE = Quirk("stream_options")  # also where the proxy asks for the usage of a stream
THOUGHTS = Quirk("reasoning_history", "always")  # no field, but the setting of that name
NO_PROOFS = Quirk("messages.thinking_blocks")  # and what else a conversation brings of another gateway (Policy.proofs)
_ANYBODY = ""


class _Known(Struct, frozen=True):
    """A quirk that is known. clients: who has met it."""

    expires: float
    clients: frozenset[str]

    @property
    def for_all(self) -> bool:
        return len(self.clients) > 1 or _ANYBODY in self.clients

    def holds_for(self, client: str) -> bool:
        return self.for_all or client in self.clients


class LearnedQuirks:
    """What was learned, as one client sees it. `clock` gives seconds that never go back. several: there are several
    [client]s. Then one client might bring an upstream to say something, so what one client has met holds for the others
    only after another client has met it, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._learned: dict[tuple[str, str], dict[Quirk, _Known]] = {}
        self._client = _ANYBODY
        self.several = False

    def __repr__(self) -> str:
        return f"<LearnedQuirks of {len(self._learned)} models>"

    def of_client(self, client: str) -> LearnedQuirks:
        """Returns the same store, as this client sees it."""
        if not self.several:
            return self
        own = LearnedQuirks(self._clock)
        own._learned, own._client, own.several = self._learned, client, True
        return own

    def learn(self, upstream: str, model: str, quirk: Quirk) -> bool:
        """Remembers a quirk. Returns False if it is already known, because another attempt would then end in the same
        way."""
        key = upstream, model
        if quirk in self.of(upstream, model):
            return False
        known = self._learned.pop(key, {})  # goes to the end
        if quirk.setting:
            self._withdraw(known, [each for each in known if each.setting == quirk.setting and each != quirk])
        before = known.pop(quirk, None)
        clients = before.clients if before is not None else frozenset()
        known[quirk] = _Known(self._clock() + EXPIRY_S, clients | {self._client if self.several else _ANYBODY})
        self._learned[key] = known
        self._bound(known)
        return True

    def unlearn(self, upstream: str, model: str, quirks: Iterable[Quirk]) -> None:
        """Forgets quirks that were of no help: the same request was refused without these fields, too."""
        self._withdraw(self._learned.get((upstream, model), {}), quirks)

    def _withdraw(self, known: dict[Quirk, _Known], quirks: Iterable[Quirk]) -> None:
        """Takes back what this client has met. What others have met stays."""
        for quirk in quirks:
            if (found := known.get(quirk)) is None:
                continue
            if clients := found.clients - {self._client if self.several else _ANYBODY}:
                known[quirk] = replace(found, clients=clients)
            else:
                del known[quirk]

    def forget(self, upstream: str) -> None:
        for key in [key for key in self._learned if key[0] == upstream]:
            del self._learned[key]

    def of(self, upstream: str, model: str) -> list[Quirk]:
        """Returns the quirks that still hold, in the order in which they were learned."""
        known = self._learned.get((upstream, model))
        if not known:
            return []
        now = self._clock()
        if any(each.expires <= now for each in known.values()):
            known = {quirk: each for quirk, each in known.items() if each.expires > now}
            self._learned[upstream, model] = known
            if not known:
                del self._learned[upstream, model]
        return [quirk for quirk, each in known.items() if each.holds_for(self._client)]

    def known(self) -> Iterator[tuple[str, str, Quirk, frozenset[str], float]]:
        """Yields (upstream, model, quirk, who has met it, how many seconds it holds) for other workers."""
        now = self._clock()
        for (upstream, model), known in self._learned.items():
            for quirk, each in known.items():
                if each.expires > now:
                    yield upstream, model, quirk, each.clients, each.expires - now

    def hears(self, upstream: str, model: str, quirk: Quirk, clients: frozenset[str], left_s: float) -> None:
        """Takes over a quirk that another worker has learned."""
        known = self._learned.setdefault((upstream, model), {})
        before = known.pop(quirk, _Known(0.0, frozenset()))
        known[quirk] = _Known(max(before.expires, self._clock() + left_s), before.clients | clients)
        self._bound(known)

    def loses(self, upstream: str, model: str, quirk: Quirk) -> None:
        """Forgets a quirk that was of no help to another worker."""
        self._learned.get((upstream, model), {}).pop(quirk, None)

    def _bound(self, known: dict[Quirk, _Known]) -> None:
        """Makes room by forgetting the oldest."""
        while len(self._learned) > MAX_LEARNED:
            del self._learned[next(iter(self._learned))]
        while len(known) > MAX_EACH:
            del known[next(iter(known))]

    def all(self) -> dict[str, list[str]]:
        """Returns, for a person to read: "UPSTREAM/MODEL" -> what is done for it, and for which client alone."""
        shown: dict[str, list[str]] = {}
        for upstream, model in list(self._learned):
            self.of(upstream, model)  # drops what has expired
            said = [_said(quirk, each) for quirk, each in self._learned.get((upstream, model), {}).items()]
            if said:
                shown[f"{upstream}/{model}"] = said
        return shown


def _said(quirk: Quirk, known: _Known) -> str:
    return str(quirk) if known.for_all else f"{quirk}, for client {''.join(known.clients)} alone"


# ------------------------------------------------------------------------------------------------ at a request


def crossed(
    client: Protocol, route: Route, data: dict[str, Any], quirks: LearnedQuirks, strict: bool = False,
    session: str = "", tokens: int = 0, more: Sequence[Turn] = (),
) -> Encoded:  # fmt: skip
    """Returns the client's request as the route's upstream takes it, by all that was learned. session, tokens: as in
    Target. more: as in pair.request. Raises BadRequest; with strict also if a field did not cross."""
    target = Target(route.model, route.target.policy, session, tokens)
    known = quirks.of(route.upstream.name, route.model)
    if NO_MARKS in known:
        target = replace(target, policy=replace(target.policy, cache_marks=False))
    if THOUGHTS in known:
        target = replace(target, policy=replace(target.policy, reasoning_history=THOUGHTS.instead))
    if NO_PROOFS in known:
        target = replace(target, policy=replace(target.policy, proofs=False))
    if _settings(known):
        target = replace(target, policy=told_limits.heeded(target.policy, _settings(known), data))
    encoded = pair.request(client, route.protocol, data, target, more)
    if known:
        known = [each for each in known if not each.setting]
        drop = [
            each.field for each in known
            if not each.instead and (not each.beside or each.beside in encoded.body)
            and not forces_tool(each.field, encoded.body.get(each.field))
        ]  # fmt: skip
        rename = [(quirk.field, quirk.instead) for quirk in known if quirk.instead and quirk != THOUGHTS]
        fit.body(encoded, dialects.of(client).words.ledger, route.protocol, data, drop, rename)
    if strict and encoded.dropped:
        names = ", ".join(encoded.dropped)
        message = (
            f"{names}: cannot be sent to upstream '{route.upstream.name}', which speaks {route.protocol}, and this "
            "proxy leaves nothing out ([translate] strict)"
        )
        raise BadRequest(message + dialects.of(client).errors.left_out(encoded.dropped), encoded.dropped[0])
    return encoded


def is_another(asked_model: str, route: Route) -> bool:
    """Whether the client has named another model than the one that is asked ([models] leads from one to the other)."""
    return route.model != asked_model and not asked_model.endswith(f"/{route.model}")


def fitted(body: bytes, route: Route, quirks: LearnedQuirks) -> tuple[bytes, list[str]]:
    """Returns a body of the upstream's own protocol, by all that was learned, and what is left out of it: for a client
    that has named another model, since it cannot know what this one takes."""
    known = [
        quirk for quirk in quirks.of(route.upstream.name, route.model)
        if not quirk.setting and leaves_bytes(quirk) and quirk not in (NO_MARKS, NO_USAGE, THOUGHTS)
    ]  # fmt: skip
    if not known:
        return body, []
    body, dropped = strip_fields.without(body, [quirk.field for quirk in known if _goes(quirk, body)])
    for quirk in known:
        if quirk.field in fit.INCLUDED:
            body, left = strip_fields.without_word(body, *quirk.field.split(".", 1))
            dropped += left
    return strip_fields.renamed(body, {quirk.field: quirk.instead for quirk in known if quirk.instead}), dropped


def leaves_bytes(quirk: Quirk) -> bool:
    """Whether it is about something that can be left out of bytes that pass through."""
    return "." not in quirk.field or quirk.field in fit.INCLUDED


def _goes(quirk: Quirk, body: bytes) -> bool:
    """Returns whether a field is left out of this body. One that has another name goes if that one is there, too."""
    if other := quirk.instead or quirk.beside:
        return top_level.has_key(body, f'"{other}"'.encode())
    if quirk.field != CHOICE:
        return True
    try:
        return not forces_tool(CHOICE, wire.loads(top_level.taken(body, (CHOICE,))[1].get(CHOICE, b"null")))
    except ValueError:
        return False


def forces_tool(field: str, value: Any) -> bool:
    """Returns whether a field says more of the choice among tools than that the model has it, as it has without it."""
    return field == CHOICE and value not in (None, "auto", {"type": "auto"})


def _settings(known: list[Quirk]) -> list[tuple[str, str]]:
    return [(quirk.setting, quirk.instead) for quirk in known if quirk.setting]
