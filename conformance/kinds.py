"""Kinds of requests that clients make, and what their replies must be: each is a function from a case to an outcome.

What only depends on the model (it might have called two tools, and called one) is no fault. If the server promises
something (a forced call, a schema, a stop sequence, a bound) and breaks it, that counts as one.
"""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from urllib.parse import quote

from conformance.case import Case, Outcome, judged
from conformance.speech import Said
from conformance.speech.base import CITIES, SIDES, TOOL, WEATHER, Body, as_object
from conformance.wire import Reply

SHORT = 16  # tokens; the least that Responses lets a client ask for
LONG_WORDS = "Write the numbers from one to two hundred in words."
STOP_WORD = "gamma"


def models(case: Case) -> Outcome:
    reply = case.line.get(f"{case.speech.root}/models", case.speech.headers(case.key))
    return case.refusal(reply) or judged(case.speech.model_problems(reply.json()))


def count_tokens(case: Case) -> Outcome:
    if not case.speech.count_path:
        return Outcome("-")
    asked = case.asking("How many tokens is this?")
    _, body = case.speech.addressed(case.model, {key: asked[key] for key in ("model", case.speech.history)})
    path = case.speech.count_path.replace("{model}", quote(case.model, safe=""))
    reply = case.line.post(path, body, case.speech.headers(case.key))
    counted = as_object(reply.json()).get(case.speech.count_field)
    is_count = isinstance(counted, int) and counted > 0
    return case.refusal(reply) or judged([] if is_count else [f"{case.speech.count_field} is {counted!r}"])


def text(case: Case) -> Outcome:
    reply = case.ask(case.asking())
    return case.refusal(reply) or judged(_whole_problems(case, reply) + _ending_problems(case.said(reply)))


def stream(case: Case) -> Outcome:
    reply = case.stream(case.asking())
    return case.refusal(reply) or judged(case.stream_problems(reply) + _ending_problems(case.said(reply)))


def tool_call(case: Case) -> Outcome:
    reply = case.ask(_with_tool(case, WEATHER.format(CITIES[0]), case.speech.forced))
    return case.refusal(reply) or judged(_whole_problems(case, reply) + _forced_problems(case.said(reply)))


def streamed_call(case: Case) -> Outcome:
    """Without a word about usage, which a Chat stream must not tell then."""
    reply = case.stream(_with_tool(case, WEATHER.format(CITIES[0]), case.speech.forced), usage=False)
    found = case.stream_problems(reply, usage=False)
    return case.refusal(reply) or judged(found + _forced_problems(case.said(reply)))


def parallel_calls(case: Case) -> Outcome:
    body = _with_tool(case, f"What is the weather in {' and in '.join(CITIES)}? Call the tool for all at once.", "auto")
    body["tool_choice"] = case.speech.unforced
    reply = case.stream(body)
    if refusal := case.refusal(reply):
        return refusal
    calls = case.said(reply).calls
    return judged(case.stream_problems(reply) + _call_problems(case.said(reply)), f"{len(calls)} in one reply")


def one_result(case: Case) -> Outcome:
    return _results(case, CITIES[:1])


def parallel_results(case: Case) -> Outcome:
    return _results(case, CITIES)


def image(case: Case) -> Outcome:
    history = case.speech.picture("Which colour is this? One word.", red_square())
    reply = case.ask(case.asking() | {case.speech.history: history})
    return case.refusal(reply) or judged(_whole_problems(case, reply) + _ending_problems(case.said(reply)))


def json_schema(case: Case) -> Outcome:
    """The model is asked for something else, so that only a server that enforces the schema passes."""
    reply = case.ask(case.asking("Tell me in one sentence what a tree is.") | case.speech.schema())
    if refusal := case.refusal(reply):
        return refusal
    said = case.said(reply)
    if said.stop == "length":
        return Outcome("not tried", "the reply was cut before it could be told")
    try:
        held = json.loads(said.text)
    except ValueError:
        held = None
    fits = isinstance(held, dict) and list(held) == ["side"] and held["side"] in SIDES
    return judged([] if fits else [f"the reply does not fit its schema: {said.text[:60]!r}"])


def stop_sequence(case: Case) -> Outcome:
    fields = case.speech.stop_at(STOP_WORD)
    if fields is None:
        return Outcome("-")
    reply = case.ask(case.asking(f"Repeat these words: alpha beta {STOP_WORD} delta") | fields)
    if refusal := case.refusal(reply):
        return refusal
    said = case.said(reply)
    found = [f"the reply goes on past the stop sequence: {said.text[:80]!r}"] if STOP_WORD in said.text else []
    if said.stop == "sequence" and said.stopped_at != STOP_WORD:
        found.append(f"stop_sequence is {said.stopped_at!r}")
    return judged(found)


def bounded(case: Case) -> Outcome:
    reply = case.ask(case.asking(LONG_WORDS, SHORT))
    if refusal := case.refusal(reply):
        return refusal
    said = case.said(reply)
    over = said.tokens_out is not None and said.tokens_out > SHORT
    found = [f"{said.tokens_out} tokens where {SHORT} was the most"] if over else []
    if said.tokens_out == SHORT and said.stop != "length":
        found.append(f"the reply was cut, and its end is called {said.stop_word!r}")
    return judged(found)


def usage(case: Case) -> Outcome:
    """No request of its own: the whole and the streamed reply to the same words, by what they said they took."""
    said = {heard.kind: case.said(heard.reply) for heard in case.heard if heard.reply.status == 200}
    pair = [(kind, said[kind]) for kind in ("text", "stream") if kind in said]
    found = [
        f"{kind}: no count of tokens {way}"
        for kind, each in pair
        for way, number in (("in", each.tokens_in), ("out", each.tokens_out))
        if not number
    ]
    counts = {each.tokens_in for _, each in pair if each.tokens_in}
    if len(counts) > 1:
        found.append(f"the same words are {' and '.join(map(str, sorted(counts)))} tokens, whole and streamed")
    return judged(found) if pair else Outcome("not tried", "neither reply came")


def cancel(case: Case) -> Outcome:
    """A client leaves in the middle of a stream; the next one is served."""
    body = case.asking(LONG_WORDS) | {"stream": True}
    path, sent = case.speech.addressed(case.model, body)
    left = case.line.post(path, sent, case.speech.headers(case.key), leave_after=1)
    if refusal := case.refusal(left):
        return refusal
    reply = case.ask(case.asking())
    return case.refusal(reply) or judged([])


def stored(case: Case) -> Outcome:
    """A response that is kept: found by its id, built upon, and deleted."""
    if not case.speech.stored_path:
        return Outcome("-")
    first = case.ask(case.asking() | {"store": True})
    if refusal := case.refusal(first):
        return refusal
    own = as_object(first.json()).get("id")
    place, headers = f"{case.speech.stored_path}/{own}", case.speech.headers(case.key)
    again = case.line.get(place, headers)
    if refusal := case.refusal(again):
        return refusal
    found = [] if as_object(again.json()).get("id") == own else ["the response that is found has another id"]
    second = case.ask(case.asking("And now the word NO.") | {"previous_response_id": own})
    if refusal := case.refusal(second):
        return judged([*found, f"previous_response_id: {refusal.words}"])
    if as_object(second.json()).get("previous_response_id") != own:
        found.append("the reply does not name the response that it builds on")
    gone = case.line.get(place, headers, "DELETE")
    return judged(found + ([] if gone.status == 200 else [f"DELETE answers {gone.status}"]))


# --- what must hold ---------------------------------------------------------------------------------------------------


def _with_tool(case: Case, words: str, choice: object) -> Body:
    return case.asking(words) | {"tools": [case.speech.tool()], "tool_choice": choice}


def _results(case: Case, cities: tuple[str, ...]) -> Outcome:
    history = case.speech.called(cities)
    reply = case.stream(case.asking() | {"tools": [case.speech.tool()], case.speech.history: history})
    return case.refusal(reply) or judged(case.stream_problems(reply) + _call_problems(case.said(reply)))


def _whole_problems(case: Case, reply: Reply) -> list[str]:
    if reply.json() is None:
        return [f"the reply is not JSON: {reply.body[:60]!r}"]
    said = case.said(reply)
    return [] if said.stop else [f"the reply's end is called {said.stop_word!r}"]


def _ending_problems(said: Said) -> list[str]:
    """Of a reply in text. One that was cut may have none, as a model may think first."""
    if said.text.strip() or said.stop in ("length", "other"):
        return []
    return ["the reply holds no text"]


def _forced_problems(said: Said) -> list[str]:
    if not said.calls:
        return [] if said.stop == "length" else ["no call although one was demanded"]
    return _call_problems(said)


def _call_problems(said: Said) -> list[str]:
    found = [f"the reply ends as {said.stop_word!r} although it calls"] if said.calls and said.stop == "end" else []
    ids = [call.id for call in said.calls]
    if len(set(ids)) < len(ids) or "" in ids:
        found.append(f"the ids of the calls are {ids}")
    for call in said.calls:
        if call.name != TOOL:
            found.append(f"a call of {call.name!r}, which is no tool of the request")
        elif said.stop == "tool" and not isinstance(as_object(call.arguments).get("city"), str):
            found.append(f"arguments that do not fit the tool's schema: {call.arguments!r}")
    return found


def red_square(side: int = 32) -> str:
    """A PNG in base64."""
    rows = (b"\0" + b"\xff\0\0" * side) * side
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""),
    ]  # fmt: skip
    written = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(written)).decode()
