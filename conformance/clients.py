"""Requests as real clients make them: bodies of coding agents, written by hand, and the official SDKs themselves."""

from __future__ import annotations

import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from conformance.case import Case, Outcome, judged
from conformance.speech import Speech
from conformance.speech.base import TOOL, WEATHER

SHAPES = Path(__file__).resolve().parent / "shapes"
SDK_REQUESTS = 3


class Shape(NamedTuple):
    """client: whose request it is."""

    client: str
    headers: dict[str, str]
    body: dict[str, Any]


@cache
def shapes(speech: Speech) -> tuple[Shape, ...]:
    files = sorted((SHAPES / speech.name).glob("*.json"))
    return tuple(Shape(**json.loads(file.read_text())) for file in files)


def as_clients_ask(case: Case) -> Outcome:
    found = []
    for shape in shapes(case.speech):
        usage = bool(shape.body.get("stream_options")) if case.speech.usage_by_choice else None
        reply = case.ask(shape.body | {"model": case.model}, usage, **shape.headers)
        if refusal := case.refusal(reply):
            if refusal.verdict == "not tried":
                return refusal
            found.append(f"{shape.client}: {refusal.words}")
        else:
            found += [f"{shape.client}: {problem}" for problem in case.stream_problems(reply, bool(usage))]
    return judged(found, ", ".join(shape.client for shape in shapes(case.speech)))


def official_sdk(case: Case) -> Outcome:
    """Whole, streamed, and a streamed call, by the SDK that most clients are made with."""
    if not case.speech.sdk_final:
        return Outcome("-")
    package = case.speech.types.package
    if not case.speech.types.installed():
        return Outcome("not tried", f"not installed: {package}")
    found = []
    sdk = importlib.import_module(package)
    with _client(sdk, case) as client:
        for what, run in (("whole", _whole), ("stream", _streamed), ("streamed call", _called)):
            case.line.sent += 1
            try:
                problem = run(case, client)
            except Exception as error:  # whatever an SDK raises of a reply is what its users get
                problem = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            found += [f"{what}: {problem}"] if problem else []
    return judged(found, case.speech.types.installed())


def _client(sdk: Any, case: Case) -> Any:
    options = {"api_key": case.key or "none", "max_retries": 0, "timeout": 120.0}
    if hasattr(sdk, "Anthropic"):
        return sdk.Anthropic(base_url=case.line.url, **options)
    return sdk.OpenAI(base_url=f"{case.line.url}/v1", **options)


def _place(case: Case, client: Any) -> Any:
    """Where the SDK has the protocol's methods: `messages` of path /v1/messages, chat.completions, responses."""
    for name in case.speech.path.removeprefix("/v1/").split("/"):
        client = getattr(client, name)
    return client


def _whole(case: Case, client: Any) -> str:
    reply = _place(case, client).create(**case.asking())
    said = case.speech.read(reply.to_dict())
    return "" if said.text or said.stop == "length" else "the reply holds no text"


def _streamed(case: Case, client: Any) -> str:
    said = case.speech.read(_gathered(case, client, case.asking()))
    return "" if said.text or said.stop == "length" else "the reply holds no text"


def _called(case: Case, client: Any) -> str:
    body = case.asking(WEATHER.format("Paris")) | {"tools": [case.speech.tool()], "tool_choice": case.speech.forced}
    said = case.speech.read(_gathered(case, client, body))
    if said.stop == "length":
        return ""
    calls = [call for call in said.calls if call.name == TOOL and call.arguments]
    return "" if calls else "the SDK finds no call in it"


def _gathered(case: Case, client: Any, body: dict[str, Any]) -> Any:
    """What the SDK's own helper makes of the events."""
    with _place(case, client).stream(**body) as stream:
        return getattr(stream, case.speech.sdk_final)().to_dict()
