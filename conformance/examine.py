"""The table of what is tried, in its order, and the walk through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from conformance import clients, errors, kinds, overall, programs
from conformance.case import ANSWER, Case, Outcome
from conformance.speech import Speech

TOKENS_IN = 200  # of one request, about


class Kind(NamedTuple):
    """requests: at most. tokens: of all replies together, at most; 0: no model is asked."""

    name: str
    run: Callable[[Case], Outcome]
    requests: int = 1
    tokens: int = ANSWER


KINDS = (
    Kind("text", kinds.text),
    Kind("stream", kinds.stream),
    Kind("usage", kinds.usage, 0, 0),
    Kind("tool call", kinds.tool_call),
    Kind("streamed tool call", kinds.streamed_call),
    Kind("parallel tool calls", kinds.parallel_calls),
    Kind("tool result", kinds.one_result),
    Kind("parallel tool results", kinds.parallel_results),
    Kind("image", kinds.image),
    Kind("JSON schema", kinds.json_schema),
    Kind("stop sequence", kinds.stop_sequence),
    Kind("token limit", kinds.bounded, 1, kinds.SHORT),
    Kind("client leaves a stream", kinds.cancel, 2, 2 * ANSWER),
    Kind("stored responses", kinds.stored, 4, 2 * ANSWER),
    Kind("models", kinds.models, 1, 0),
    Kind("count of tokens", kinds.count_tokens, 1, 0),
    Kind("error: unknown model", errors.bad_model, 1, 0),
    Kind("error before a stream", errors.bad_model_streamed, 1, 0),
    Kind("error: no JSON", errors.bad_json, 1, 0),
    Kind("error: no object", errors.not_an_object, 1, 0),
    Kind("error: missing field", errors.missing_field, 1, 0),
    Kind("error: wrong type", errors.wrong_type, 1, 0),
    Kind("error: unknown path", errors.unknown_path, 1, 0),
    Kind("error: wrong key", errors.wrong_key, 1, 0),
    Kind("error fields", overall.error_fields, 0, 0),
    Kind("requests of clients", clients.as_clients_ask, 3, 3 * ANSWER),
    Kind("official SDK", clients.official_sdk, clients.SDK_REQUESTS, clients.SDK_REQUESTS * ANSWER),
    Kind("the client itself", programs.the_client_itself, 0, 0),  # its cost is told apart
    Kind("SSE framing", overall.framing, 0, 0),
    Kind("headers", overall.headers, 0, 0),
    Kind("SDK types", overall.sdk_types, 0, 0),
    Kind("Open Responses types", overall.open_responses_types, 0, 0),
)


class Result(NamedTuple):
    protocol: str
    kind: str
    outcome: Outcome


def cost(protocols: int) -> tuple[int, int, int]:
    """(requests, tokens in, tokens out) at most."""
    asking = sum(kind.requests for kind in KINDS if kind.tokens)
    return (
        protocols * sum(kind.requests for kind in KINDS),
        protocols * asking * TOKENS_IN,
        protocols * sum(kind.tokens for kind in KINDS),
    )


def examine(case: Case) -> Iterator[Result]:
    """Everything in one protocol. Where a plain text does not come, nothing else is asked of it."""
    blocked: Outcome | None = None
    for kind in KINDS:
        if blocked is None:
            case.kind = kind.name
            outcome = kind.run(case)
            if kind is KINDS[0]:
                blocked = _blocked(case, outcome)
        else:
            outcome = blocked
        yield Result(case.speech.name, kind.name, outcome)


def _blocked(case: Case, text: Outcome) -> Outcome | None:
    """What the other kinds come to where the first was not answered."""
    status = case.heard[0].reply.status
    if status == 200:
        return None
    if status in (404, 405, 501):
        text.verdict = "not served"
        return Outcome("not served")
    return Outcome("not tried", "a plain text was not answered")


def protocols(named: str, among: tuple[Speech, ...]) -> tuple[Speech, ...]:
    """named: names with commas between; "" = all. Raises ValueError for one that there is not."""
    wanted = [name.strip() for name in named.split(",") if name.strip()] or [speech.name for speech in among]
    known = [speech.name for speech in among]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"there is no protocol '{unknown[0]}'; there are {', '.join(known)}")
    return tuple(speech for speech in among if speech.name in wanted)
