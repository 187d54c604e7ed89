"""Asks one upstream in one protocol, with the code that translates clients' requests.

Probes are written in Messages for every upstream. They are translated as the proxy would translate them, and so is the
reply, so that the findings hold for real clients. If a refusal names a field, the quirk is learned as in the proxy
(learned_quirks.py), and the probe is sent again. The learned quirks are kept for the advice.
"""

from __future__ import annotations

import contextlib
from typing import Any

from msgspec import Struct, field

from console.doctor.line import Heard, Line
from gateway.flow import sealing
from gateway.limits import retry_policy
from gateway.refusals import learned_quirks, refused_fields, told_limits
from gateway.refusals.learned_quirks import SETTING, LearnedQuirks, Quirk
from gateway.refusals.told_limits import ONLY_STREAMS
from gateway.routing.router import Route
from translate.conversation import Usage
from translate.failures import errors
from translate.failures.errors import ApiError, BadReply
from translate.json import wire
from translate.messages.dialect import MESSAGES
from translate.pair import Crossing
from translate.target import Asked, Protocol

MAX_REPEATS = 3  # how often a probe is sent, after refusals that name a field
CLIENT = MESSAGES.name

Body = dict[str, Any]


class Probed(Struct):
    """The result of a probe. reply: a Messages body, {} if there is an error. usage: that of the upstream, if it sent
    it."""

    heard: Heard
    error: ApiError | None = None
    reply: Body = field(default_factory=dict)
    usage: Usage | None = None

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self._blocks("text"))

    @property
    def calls(self) -> list[Body]:
        return self._blocks("tool_use")

    @property
    def thinks(self) -> bool:
        return bool(self._blocks("thinking") or self._blocks("redacted_thinking"))

    @property
    def was_cut(self) -> bool:
        """Whether the probe's own small max_tokens has cut the answer, which is no fault of the upstream."""
        return self.reply.get("stop_reason") == "max_tokens"

    def _blocks(self, kind: str) -> list[Body]:
        return [block for block in self.reply.get("content", []) if block.get("type") == kind]


class Patient:
    """An upstream in one protocol. key: the number of its key, from 0 on. learned: the learned quirks, in order."""

    def __init__(self, line: Line, protocol: Protocol, model: str, key: int = 0) -> None:
        self.key = key
        self.upstream = line.upstream
        self.protocol = protocol
        self.model = model
        self.learned: list[Quirk] = []
        self._line = line
        self._quirks = LearnedQuirks()

    def __repr__(self) -> str:
        return f"<Patient {self.upstream.name} {self.protocol} {self.model}>"

    async def ask(self, probe: Body, beside: Body | None = None) -> Probed:
        """Sends a probe. beside: fields that are added to the translated body."""
        for _ in range(MAX_REPEATS):
            said, taught = await self._ask(probe, beside or {})
            if not taught:
                break
        return said

    async def _ask(self, probe: Body, beside: Body) -> tuple[Probed, bool]:
        data = {"model": self.model} | probe
        route = Route(self.upstream, self.protocol, self.model)
        encoded = learned_quirks.crossed(CLIENT, route, data, self._quirks)
        left = {quirk.field for quirk in self.learned}
        body = encoded.body | {key: value for key, value in beside.items() if key not in left}
        stream = probe.get("stream") is True or body.get("stream") is True  # as it may give nothing else
        heard = await self.post(route.stream_url if stream else route.url, wire.dumps(body), stream)
        asked = Asked(
            self.model, tool_names=encoded.tool_names, policy=route.target.policy, reshaped=encoded.reshaped,
            answer_tool=encoded.answer_tool, offered=encoded.offered,
        )  # fmt: skip
        said = self._read(heard, stream, asked)
        if said.error is None or said.error.status not in (400, 422):
            return said, False
        new = [each for each in refused_fields.read(said.error, heard.body, body) if each not in self.learned]
        for quirk in new:
            self._quirks.learn(self.upstream.name, self.model, quirk)
        self.learned += new
        only_streams = not stream and any(told.setting == ONLY_STREAMS for told in told_limits.read(said.error))
        if only_streams:  # which is no setting of the file, so that nothing is to be advised
            self._quirks.learn(self.upstream.name, self.model, Quirk(SETTING + ONLY_STREAMS, "true"))
        return said, bool(new) or only_streams

    def _read(self, heard: Heard, stream: bool, asked: Asked) -> Probed:
        if heard.failure is not None:
            return Probed(heard, retry_policy.as_error(heard.failure, self.upstream.name))
        kind = next((value for name, value in heard.headers if name == "content-type"), "")
        if heard.status != 200:
            return Probed(heard, errors.parse(heard.status, heard.body, kind))
        crossing = Crossing(CLIENT, self.protocol, asked)
        streamed = stream and heard.body.lstrip()[:1] != b"{"
        try:
            reply = wire.loads(crossing.whole(heard.body, streamed))
        except ApiError as error:
            return Probed(heard, error)
        return Probed(heard, None, reply, crossing.usage)

    async def count(self, probe: Body) -> Heard:
        """Asks the upstream how many tokens a probe has. Its protocol must have such a request."""
        route, data = Route(self.upstream, self.protocol, self.model), {"model": self.model} | probe
        body = learned_quirks.crossed(CLIENT, route, data, self._quirks).body
        known = ("model", "messages", "system", "tools", "input", "instructions", "contents")
        counted = {key: value for key, value in body.items() if key in known}
        url = self.upstream.side(self.protocol, "count", self.model)
        return await self.post(url, wire.dumps(counted), stream=False, task="count")

    async def post(self, url: str, body: bytes, stream: bool, task: str = "") -> Heard:
        timeouts = self.upstream.stream_timeouts if stream else self.upstream.whole_timeouts
        envelope = self.upstream.envelope_of(self.protocol)
        if envelope is None:
            return await self._line.exchange(self.protocol, url, body, timeouts, self.key)
        body, _ = sealing.seal(envelope, task, []).body(body)
        heard = await self._line.exchange(self.protocol, url, body, timeouts, self.key)
        if heard.status == 200 and stream and envelope.unframing is not None:
            with contextlib.suppress(BadReply):  # what it is stays, and is told as no stream of Messages
                heard.body = envelope.unframing().feed(heard.body)
                heard.headers = [("content-type", "text/event-stream")]
        elif heard.status == 200 and task:
            heard.body = envelope.counted(heard.body)
        return heard
