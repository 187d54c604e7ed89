"""One address of a protocol, and the form in which its replies go out.

Most protocols have one address for replies and one for counts of tokens, and one form of a reply. Others name the model
in the address, or have the reply in a form of their own there, such as lines of JSON in place of server-sent events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct

from translate.failures.errors import ErrorWriter
from translate.json.json_fields import Body


class Framing(Protocol):
    """Puts a stream of server-sent events into another form for the client. The data of the events stays unchanged."""

    def feed(self, events: bytes) -> bytes:
        """events: whole lines."""

    def end(self) -> bytes:
        """Called when all events are out."""

    def ping(self) -> bytes:
        """Returns a sign of life that is legal between two events."""


class Timed(Struct, frozen=True):
    """A form that says how long the reply took. framing(clock): clock tells seconds. whole(raw, seconds)."""

    framing: Callable[[Callable[[], float]], Framing]
    whole: Callable[[bytes, float], bytes]


class Framed(Struct, frozen=True):
    """The form of a client's reply at an address where it differs from the protocol's own. content_type: of streams,
    which are not made of server-sent events. whole: changes a reply that is no stream. error: writes an error; None =
    as the protocol writes it. timed: the same of a reply that is being made, where its form says how long that took.
    may_wait: signs of life may come before a stream, which then begins as if nothing had come."""

    content_type: str
    framing: Callable[[], Framing]
    whole: Callable[[bytes], bytes] = lambda raw: raw
    error: ErrorWriter | None = None
    timed: Timed | None = None
    may_wait: bool = True

    def all_of(self, events: bytes) -> bytes:
        """Returns a whole stream of the protocol in this form."""
        framing = self.framing()
        return framing.feed(events) + framing.end()


class Unsealed(Struct, frozen=True):
    """A body as the protocol has it, and the headers of the protocol that the client had put into its body."""

    body: bytes
    headers: Mapping[str, str]


class Endpoint(Struct, frozen=True):
    """One address of the protocol.

    task           "" = a model's reply, "count" = how many tokens a request has, "compact" = a summary
    path           where clients ask. "{model}" stands for the model's name, which is then not in the body,
                   "{upstream/model}" for one with a slash, and "{}" for any one segment
    upstream       what is appended to an upstream's base URL, with "{model}" in the same way
    streams        whether the reply is a stream, if the address says so; None = the body says it, in its field "stream"
    optional       an upstream has the endpoint only if its settings say so
    untranslated   no other protocol has the endpoint, so requests go unchanged to upstreams of this protocol
    deterministic  equal requests have equal answers
    relayed        bodies are no JSON, or large, and pass through as they come: gateway/relay/ has the endpoint
    framed         (query) -> the form of the reply; None = the protocol's own
    opened         (body) -> the body as the protocol has it, and the names of what is left out. Raises BadRequest
    unsealed       (body, model, streams) -> the same without a parse, if the address has the model and says whether it
                   streams
    alone          (body) -> the answer to a request that needs no model; None = it needs one
    usual_model    the model of a request that names none
    other          another endpoint for bodies of another kind
    """

    task: str
    path: str
    upstream: str
    streams: bool | None = None
    optional: bool = False
    untranslated: bool = False
    deterministic: bool = False
    relayed: bool = False
    framed: Callable[[Mapping[str, str]], Framed | None] | None = None
    opened: Callable[[Body], tuple[Body, list[str]]] | None = None
    unsealed: Callable[[bytes, str, bool | None], Unsealed] | None = None
    alone: Callable[[Body], bytes | None] | None = None
    usual_model: str = ""
    other: Other | None = None


class Other(NamedTuple):
    """The endpoint for bodies that have one key (with its quotes) and lack another. usual: matches nearly all bodies
    that have that other key, at their beginning (top_level.early); a search takes as long as all else that is read of a
    large one."""

    has: bytes
    lacks: bytes
    endpoint: Endpoint
    usual: re.Pattern[bytes]
