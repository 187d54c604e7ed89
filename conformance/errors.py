"""Requests that must be refused: by the right status, in the protocol's own shape, before anything is streamed."""

from __future__ import annotations

from conformance.case import BUSY, Case, Outcome, judged
from conformance.wire import Reply

NO_MODEL = "no-such-model-conformance"
WRONG_KEY = "wrong-key-conformance"


def bad_model(case: Case) -> Outcome:
    return _refused(case, case.ask(case.asking() | {"model": NO_MODEL}), (400, 404))


def bad_model_streamed(case: Case) -> Outcome:
    reply = case.ask(case.asking() | {"model": NO_MODEL, "stream": True})
    if reply.status == 200 and reply.is_stream and not case.said(reply).text:
        return judged(["the error comes with status 200, as a stream"])
    return _refused(case, reply, (400, 404))


def bad_json(case: Case) -> Outcome:
    return _refused(case, case.ask(b'{"model": '), (400,))


def not_an_object(case: Case) -> Outcome:
    return _refused(case, case.ask(b"[]"), (400,))


def missing_field(case: Case) -> Outcome:
    body = case.asking()
    del body[case.speech.history]
    return _refused(case, case.ask(body), (400,))


def wrong_type(case: Case) -> Outcome:
    return _refused(case, case.ask(case.asking() | {case.speech.history: 7}), (400,))


def unknown_path(case: Case) -> Outcome:
    return _refused(case, case.line.get(f"{case.speech.root}/no-such-path", case.speech.headers(case.key)), (404,))


def wrong_key(case: Case) -> Outcome:
    if not case.key:
        return Outcome("not tried", "no --key")
    headers = case.speech.headers(WRONG_KEY)
    path, body = case.speech.addressed(case.model, case.asking())
    return _refused(case, case.line.post(path, body, headers), (401, 403))


def _refused(case: Case, reply: Reply, wanted: tuple[int, ...]) -> Outcome:
    if reply.trouble or not reply.status:
        return judged([f"no answer: {reply.trouble}"])
    if reply.status in BUSY:
        return Outcome("not tried", f"answers {reply.status}")
    right = " or ".join(map(str, wanted))
    found = [] if reply.status in wanted else [f"answers {reply.status} where {right} is right"]
    if reply.status >= 400:
        found += case.speech.error_problems(reply.json())
    return judged(found)
