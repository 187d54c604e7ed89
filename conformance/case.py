"""One protocol of one server: what it was asked, what was heard of it, and how a reply is judged at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from conformance.speech import Said, Speech
from conformance.speech.base import Body
from conformance.wire import Line, Reply

Verdict = Literal["ok", "fault", "not served", "not tried", "-"]

ANSWER = 512  # tokens of one reply at most: a model that thinks spends most of it before its first word
GREETING = "Answer with the one word OK."
BUSY = (402, 429, 503, 529)  # no fault of the protocol: its account, its limits, its load
KEYS = (401, 403)
REFUSALS = (400, 404, 405, 415, 422, 501)  # of a thing that it does not do


@dataclass
class Outcome:
    """words: one sentence. problems: all that was found, for the JSON."""

    verdict: Verdict
    words: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Heard:
    """A reply, and what it was for. usage: whether a stream was asked to tell it."""

    kind: str
    reply: Reply
    streamed: bool
    usage: bool | None


def judged(problems: list[str], words: str = "") -> Outcome:
    distinct = list(dict.fromkeys(problems))
    if not distinct:
        return Outcome("ok", words)
    more = f" (and {len(distinct) - 1} more)" if len(distinct) > 1 else ""
    return Outcome("fault", distinct[0] + more, distinct)


class Case:
    """kind: the name of what is tried just now. starts_clients: whether Claude Code and Codex may be started."""

    def __init__(self, line: Line, speech: Speech, model: str, key: str = "", *, starts_clients: bool = False) -> None:
        self.line = line
        self.speech = speech
        self.model = model
        self.key = key
        self.starts_clients = starts_clients
        self.kind = ""
        self.heard: list[Heard] = []

    def __repr__(self) -> str:
        return f"<Case of {self.speech.name} at {self.line.url}, {len(self.heard)} replies>"

    def asking(self, words: str = GREETING, most: int = ANSWER) -> Body:
        return self.speech.asking(self.model, words, most)

    def ask(self, body: Any, usage: bool | None = None, **headers: str) -> Reply:
        """POSTs a request for a reply; usage: whether its stream has to tell what it took."""
        path, sent = self.speech.addressed(self.model, body)
        reply = self.line.post(path, sent, self.speech.headers(self.key) | headers)
        streamed = isinstance(body, dict) and bool(body.get("stream"))
        self.heard.append(Heard(self.kind, reply, streamed, usage))
        return reply

    def stream(self, body: Body, usage: bool = True) -> Reply:
        asked = self.speech.asking_for_usage() if usage else {}
        return self.ask(body | {"stream": True} | asked, usage if self.speech.usage_by_choice else None)

    def said(self, reply: Reply) -> Said:
        return self.speech.read_stream(reply.body) if reply.is_stream else self.speech.read(reply.json())

    def refusal(self, reply: Reply) -> Outcome | None:
        """What a reply that is none comes to; None for one with a status of 200 that is whole."""
        if reply.trouble:
            return judged([f"the reply breaks off: {reply.trouble}" if reply.status else reply.trouble])
        if reply.status == 200:
            return None
        words = " ".join(self.speech.refused(reply).split())[:160]
        if reply.status in BUSY + KEYS:
            return Outcome("not tried", words)
        problems = self.speech.error_problems(reply.json())
        if reply.status in REFUSALS and not problems:
            return Outcome("not served", words)
        return judged([f"answers {words}", *problems])

    def stream_problems(self, reply: Reply, usage: bool = True) -> list[str]:
        """Of a stream that was asked for; the framing is judged apart (overall.py)."""
        if not reply.is_stream:
            return [f"answers {reply.headers.get('content-type')!r} where a stream was asked for"]
        chosen = usage if self.speech.usage_by_choice else None
        found = self.speech.stream_problems(reply.body, chosen)
        return [problem for problem in found if not problem.startswith("framing")]
