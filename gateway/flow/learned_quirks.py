"""What upstreams teach by their 400s: fields that one of their models does not take, remembered for a day.

`read` finds the field of the sent body that an error is about, and the name that the upstream wants instead, if any.
Words that the request holds itself are not believed: upstreams quote what they refuse, and a client would teach for all
the others. Of several clients, one alone teaches for itself. Only what is in the body counts, and nothing that a
request would mean something else without: tools and formats are never left out because a server has no use for them.
`LearnedQuirks` keeps what was learned for each upstream and model, bounded and with expiry, and gives it to the
translation of later requests. Bytes that pass through are not touched, but for the form of embeddings (vectors.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.flow import told_limits
from gateway.flow.own_words import OwnWords
from gateway.routing.router import Route
from translate import dialects, errors, fit, late, pair, wire
from translate.conversation import Turn
from translate.errors import ApiError, BadRequest
from translate.target import Encoded, Protocol, Target

MAX_LEARNED = 1_000  # pairs of upstream and model; there is a limit because clients choose the names of models
MAX_EACH = 16  # fields of one pair
MAX_READ = 8 * 1024  # characters of an error
MAX_DEPTH = 8
EXPIRY_S = 24 * 3600.0  # after a day the server may take the field

KEPT = frozenset({
    "model", "messages", "input", "system", "instructions", "stream", "tools", "functions", "response_format",
    "text", "text.format", "output_config.format",
})  # fmt: skip

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}  # servers take one of the two

# A match begins where a word does and is no longer than a field's name, so that the search takes linear time.
_FIELD = r"[`'\"]?(?<![\w.])([A-Za-z][\w.]{0,99})[`'\"]?"
_SAID = (  # texts: re compiles each at the first error, and keeps it
    rf"Unsupported parameter: {_FIELD}",  # OpenAI, Azure
    r"(?i)unrecognized request arguments? supplied: ([\w., ]+)",  # OpenAI, Azure
    rf"(?i)unknown parameter: {_FIELD}(?!\[)",  # OpenAI Responses
    rf"Unsupported value: {_FIELD} does not support .*Only the default",  # temperature of models that reason
    rf"(?:^|[\s(])(?:body\.)?{_FIELD}: Extra inputs are not permitted",  # Anthropic, pydantic
    rf"'loc': \('body', {_FIELD}\)",  # vLLM: FastAPI's in Python's words
    rf"property {_FIELD} is unsupported",  # Groq
    r"[`'\"]([A-Za-z][\w.]{0,99})[`'\"] is not supported (?:with|by|for|on) this model",  # OpenAI, Groq
    rf"{_FIELD} (?:is|are) (?:deprecated|no longer supported|unsupported) (?:with|by|for|on) this model",  # Anthropic
    r"Unknown name \"(\w+)\": Cannot find field",  # Gemini, at the top of the body
    rf"(?:does not support parameter|Argument not supported on this model:) {_FIELD}",  # xAI
    rf"unknown field {_FIELD}",  # serde: DeepSeek and others
    rf"Additional properties are not allowed \({_FIELD} was unexpected\)",
    rf"unexpected keyword argument {_FIELD}",
    rf"Extra inputs are not permitted, field: {_FIELD}",  # Fireworks
    r"extraneous key \[([\w.]{1,100})\] is not permitted",  # Bedrock
    rf"invalid {_FIELD}: only \S{{1,20}} is allowed for this model",  # Kimi
)
_BOTH = late.pattern(  # either will do
    rf"{_FIELD} and {_FIELD} cannot both be (?:specified|set)"  # Anthropic, Bedrock
    rf"|cannot specify both {_FIELD} and {_FIELD}"  # Kimi
)
_PHRASED = (  # words that do not name the field, and what it may be
    (late.pattern(r"Penalty is not enabled for"),  # Gemini says it of both penalties
     ("generationConfig.frequencyPenalty", "generationConfig.presencePenalty", "frequency_penalty",
      "presence_penalty")),
    (late.pattern(r"verified to generate reasoning summaries"), ("reasoning.summary",)),  # OpenAI, of an organization
    (late.pattern(r"(?i)Thinking (?:level |budget )?(?:[A-Z_]{1,40} )?is not (?:enabled|supported)|"  # Gemini, Ollama
                r"Budget \d{1,9} is invalid|is not a supported thinking level|does not support thinking"),
     ("generationConfig.thinkingConfig", "reasoning_effort")),
    (late.pattern(r"(?i)adaptive thinking is not supported|thinking\.type\.\w{1,20}\W{0,3}is not supported"),
     ("thinking",)),  # Anthropic
    (late.pattern(r"chat_template is not supported"), ("chat_template_kwargs",)),  # vLLM, with Mistral's tokenizers
    (late.pattern(r"does not support the effort parameter"), ("output_config.effort", "reasoning_effort")),
    (late.pattern(r"Reasoning is mandatory for this endpoint"), ("reasoning.enabled",)),  # OpenRouter
)  # fmt: skip
_PARAM = late.pattern(r"(?i)not supported with this model|unsupported parameter|unknown (field|parameter|argument)")
# How the field of a quirk begins that is about no field but about a limit (told_limits.py). So it is kept, expires, is
# withdrawn and goes to other workers like any other.
_SETTING = "[upstream] "


class Quirk(Struct, frozen=True):
    """A field of the upstream's body ("temperature", "reasoning.summary"). instead: the name to send it under, "" =
    leave the field out. beside: leave it out only if this field is there, too."""

    field: str
    instead: str = ""
    beside: str = ""

    @property
    def setting(self) -> str:
        """The setting of [upstream] that stands for it; "" if it is about a field."""
        return self.field.removeprefix(_SETTING) if self.field.startswith(_SETTING) else ""

    def __str__(self) -> str:
        if self.setting:
            return f"its {self.setting} is {self.instead}"
        if self == NO_PROOFS:
            return "what another gateway has signed of earlier thinking and calls is left out"
        if self == THOUGHTS:
            return "earlier thinking is sent back, and a blank where there was none (reasoning_history = always)"
        if self.beside:
            return f"'{self.field}' is left out beside '{self.beside}'"
        return f"'{self.field}' is sent as '{self.instead}'" if self.instead else f"'{self.field}' is left out"


NO_MARKS = Quirk("cache_control")  # for the marks that the proxy adds; a client has to know about its own
NO_USAGE = Quirk("stream_options")  # also where the proxy asks for the usage of a stream
THOUGHTS = Quirk("reasoning_history", "always")  # no field, but the setting of that name
NO_PROOFS = Quirk("messages.thinking_blocks")  # and what else a conversation brings of another gateway (Policy.proofs)
_REFUSES_PROOFS = late.pattern(
    r"(?:(?:permitted|unknown|unrecogni[sz]ed|propert(?:y|ies)\b).{0,60}?)?"
    r"\b(?:thinking_blocks|reasoning_opaque|reasoning_text|provider_specific_fields)\b"
    r"(?:.{0,20}?(?:unsupported|unexpected|permitted|allowed))?",
    re.I,
)
_WANTS_THOUGHTS = late.pattern(r"reasoning[_ ]content\b.{0,80}?\b(?:must be passed back|is missing|is required)", re.I)


def read(error: ApiError, raw: bytes, sent: dict[str, Any]) -> list[Quirk]:
    """Returns what an error (a 400 or 422 whose body is `raw`) says about fields of the sent body; [] if nothing."""
    found: dict[str, Quirk] = {}
    own = OwnWords(sent)
    for name in _named(error, raw, own):
        field = next((each for each in (name, _snake(name)) if _is_in(sent, each)), "")
        if not field or _must_stay(sent, field):
            continue
        instead = _LIMITS.get(field, "")
        if instead not in sent:
            found.setdefault(field, Quirk(field, instead))
    for match in _BOTH.finditer(error.message[:MAX_READ]):
        first, second = filter(None, match.groups())
        if not own.holds(match.group()) and first in sent and second in sent and not _must_stay(sent, second):
            found.setdefault(second, Quirk(second, beside=first))
    return list(found.values())[:MAX_EACH]


def _must_stay(sent: dict[str, Any], field: str) -> bool:
    """Returns whether the request would mean something else without the field: the prompt, a required form of the
    reply, a forced tool."""
    if field == "tool_choice":
        return sent[field] not in ("auto", {"type": "auto"})
    return field in KEPT or any(kept.startswith(field + ".") and _is_in(sent, kept) for kept in KEPT)


def _named(error: ApiError, raw: bytes, own: OwnWords) -> Iterator[str]:
    message = error.message[:MAX_READ]
    for pattern in _SAID:
        for match in re.finditer(pattern, message):
            if own.holds(match.group()):
                continue
            yield from filter(None, re.split(r"[\s,]+", match.group(1).strip(".")))
    for phrase, fields in _PHRASED:
        if (refused := phrase.search(message)) is not None and not own.holds(refused.group()):
            yield from fields
    value_is_meant = message.startswith(("Unsupported value", "Invalid value"))
    if error.param and not value_is_meant:
        words = _PARAM.search(message)
        if error.code == "unsupported_parameter" or (words is not None and not own.holds(words.group())):
            yield error.param
    try:
        yield from _forbidden(wire.loads(errors.in_event(raw) or raw) if len(raw) <= MAX_READ else None)
    except ValueError:
        return


_AROUND = ("detail", "details", "error", "errors", "message")


def _forbidden(data: Any, depth: int = 0) -> Iterator[str]:
    """Yields the fields that FastAPI's details name, inside of what servers put around them: {"type":
    "extra_forbidden", "loc": ["body", "seed"]}."""
    if depth > MAX_DEPTH:
        return
    if isinstance(data, list):
        for item in data:
            yield from _forbidden(item, depth + 1)
    elif isinstance(data, dict):
        where = data.get("loc")
        if data.get("type") == "extra_forbidden" and isinstance(where, list) and len(where) == 2 and where[0] == "body":
            yield str(where[1])
        else:
            for name in _AROUND:  # not "input", which quotes what was sent
                yield from _forbidden(data.get(name), depth + 1)


def _snake(name: str) -> str:
    """Returns a name in snake case: xAI names fields as its own code does, such as presencePenalty."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match.group(1).lower(), name)


def _is_in(sent: dict[str, Any], path: str) -> bool:
    section, dot, key = path.partition(".")
    if not dot:
        return path in sent
    inner = sent.get(section)
    return isinstance(inner, dict) and key in inner


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
        drop = [each.field for each in known if not each.instead and (not each.beside or each.beside in encoded.body)]
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


def _settings(known: list[Quirk]) -> list[tuple[str, str]]:
    return [(quirk.setting, quirk.instead) for quirk in known if quirk.setting]


def learned(
    client: Protocol, route: Route, data: dict[str, Any], quirks: LearnedQuirks, error: ApiError, raw: bytes,
    session: str = "",
) -> list[Quirk]:  # fmt: skip
    """Learns from the error (its body is `raw`) with which the upstream has answered the crossed request. Returns what
    is new."""
    if error.status not in (400, 422):
        return []
    said = error.message[:MAX_READ]
    own = OwnWords(data)
    wanted = _WANTS_THOUGHTS.search(said)
    if wanted is not None and dialects.of(route.protocol).open_reasoning and not own.holds(wanted.group()):
        return [THOUGHTS] if quirks.learn(route.upstream.name, route.model, THOUGHTS) else []
    refused = _REFUSES_PROOFS.search(said)
    if refused is not None and dialects.of(route.protocol).open_reasoning and not own.holds(refused.group()):
        before = crossed(client, route, data, quirks, session=session).body
        if quirks.learn(route.upstream.name, route.model, NO_PROOFS):
            if crossed(client, route, data, quirks, session=session).body != before:
                return [NO_PROOFS]
            quirks.unlearn(route.upstream.name, route.model, [NO_PROOFS])
    about_marks = NO_MARKS.field in said and not own.holds(NO_MARKS.field)
    limits = next(told_limits.read(error), None) is not None
    if not (about_marks or limits) and next(_named(error, raw, own), None) is None and _BOTH.search(said) is None:
        return []  # most errors name no field; then the request is not translated again to see what was sent
    sent = crossed(client, route, data, quirks, session=session)
    found = read(error, raw, sent.body)
    found += [Quirk(_SETTING + name, value) for name, value in told_limits.beyond(error, sent.body, data, own)]
    if sent.cache_marks and about_marks:
        found.append(NO_MARKS)
    new = [quirk for quirk in found if quirks.learn(route.upstream.name, route.model, quirk)]
    if new and all(quirk.setting for quirk in new):  # which not every protocol and model heeds
        if crossed(client, route, data, quirks, session=session).body == sent.body:
            quirks.unlearn(route.upstream.name, route.model, new)
            return []
    return new


def met_meanwhile(route: Route, data: dict[str, Any], quirks: LearnedQuirks, error: ApiError, raw: bytes) -> bool:
    """Returns whether the refusal is about something that is known: another request has met it while this one was on
    its way, so that this one may go once more, as it is made now."""
    known = quirks.of(route.upstream.name, route.model)
    if not known or error.status not in (400, 422):
        return False
    own = OwnWords(data)
    if NO_PROOFS in known and (refused := _REFUSES_PROOFS.search(error.message[:MAX_READ])) is not None:
        return not own.holds(refused.group())
    settings = {told.setting for told in told_limits.read(error) if not own.holds(told.words)}
    fields = {each for name in _named(error, raw, own) for each in (name, _snake(name))}
    return any(quirk.setting in settings if quirk.setting else quirk.field in fields for quirk in known)
