"""What is judged of all replies together, once the others have been asked: no request is made here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from conformance import open_responses
from conformance.case import Case, Heard, Outcome, judged
from conformance.grammar.framing import events

MISSING = "not installed: {}"


def framing(case: Case) -> Outcome:
    streams = [heard for heard in _good(case) if heard.streamed and heard.reply.is_stream]
    found = [
        problem.removeprefix("framing: ")
        for heard in streams
        for problem in case.speech.stream_problems(heard.reply.body, heard.usage)
        if problem.startswith("framing")
    ]
    return judged(found) if streams else Outcome("not tried", "no stream came")


def headers(case: Case) -> Outcome:
    found = []
    for heard in case.heard:
        reply = heard.reply
        if not reply.status:
            continue
        kind = reply.headers.get("content-type", "")
        if not (reply.is_stream if heard.streamed and reply.status == 200 else kind.startswith("application/json")):
            found.append(f"{heard.kind}: content-type is {kind!r}")
        if case.speech.id_header not in reply.headers:
            found.append(f"no {case.speech.id_header}")
        if reply.is_stream and "content-length" in reply.headers:
            found.append("a stream has a content-length: it was gathered first")
    return judged(found) if case.heard else Outcome("not tried", "no reply came")


def error_fields(case: Case) -> Outcome:
    if not case.speech.error_fields:
        return Outcome("-")
    errors = [heard.reply.json() for heard in case.heard if heard.reply.status >= 400]
    found = [problem for error in errors for problem in case.speech.error_fields_missing(error)]
    return judged(found) if errors else Outcome("not tried", "no error came")


def sdk_types(case: Case) -> Outcome:
    types = case.speech.types
    if not types.installed():
        return Outcome("not tried", MISSING.format(types.package))
    return judged(_against(types, case), types.installed())


def open_responses_types(case: Case) -> Outcome:
    if not case.speech.stored_path:
        return Outcome("-")
    if open_responses.found() is None:
        return Outcome("not tried", MISSING.format("openresponses-types"))
    return judged(_against(open_responses, case))


class Types(Protocol):
    """What holds replies against published types."""

    def body_problems(self, raw: bytes) -> list[str]: ...

    def stream_problems(self, raw: bytes) -> list[str]: ...


def _against(types: Types, case: Case) -> list[str]:
    found = []
    for heard in _good(case):
        if heard.reply.is_stream:
            problems = types.stream_problems(_plain(heard.reply.body))
        else:
            problems = types.body_problems(heard.reply.body)
        found += [f"{heard.kind}: {problem}" for problem in problems]
    return found


def _good(case: Case) -> Iterator[Heard]:
    """The replies that came whole; a body that is no JSON is its kind's own fault."""
    for heard in case.heard:
        reply = heard.reply
        if reply.status == 200 and not reply.trouble and (reply.is_stream or isinstance(reply.json(), dict)):
            yield heard


def _plain(raw: bytes) -> bytes:
    """The same events, framed alike, those alone that are JSON objects."""
    return b"".join(b"data: %b\n\n" % data.encode() for _, data in events(raw, [], house=False) if data[:1] == "{")
