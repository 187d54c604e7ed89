"""The probes of the doctor: what an upstream is asked, and what its answers mean.

A probe is one small request in Messages (see patient.py). Each one tries a feature that clients rely on, and in which
compatible servers differ; the finding has the settings that follow. If a model just does not do something (such as make
a call that it might have made), this is not reported as a fault of the server.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from console.doctor.findings import Finding, shortened
from console.doctor.patient import Body, Patient, Probed
from translate import dialects
from translate.chat import think
from translate.json import wire

MAX_TOKENS = 512  # of one answer; a model that thinks uses most of it before its first word
MAX_TOKENS_OF_A_KEY = 16  # this is enough to see that a key works
TOKENS_IN = 150  # the estimated input tokens of one probe

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "get_weather", "description": "The weather in a city.", "input_schema": CITY}
SIDES = ("left", "right")
SIDE_SCHEMA = {
    "type": "object",
    "properties": {"side": {"type": "string", "enum": list(SIDES)}},
    "required": ["side"],
    "additionalProperties": False,
}
UNKNOWN = "x_doctor_probe"


class Probe(Struct, frozen=True):
    what: str
    run: Callable[[Patient], Awaitable[Finding]]


def asking(text: str, **more: Any) -> Body:
    return {"max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": text}]} | more


def refused(what: str, said: Probed, about: tuple[str, ...] = (), **settings: str) -> Finding:
    """The finding for a refusal. settings: are advised if the refusal is about the feature itself, by its status or by
    the words in `about`."""
    error = said.error
    assert error is not None
    if said.heard.status not in (400, 415, 422, 501) and not any(word in error.message.lower() for word in about):
        settings = {}
    status = f"{said.heard.status}: " if said.heard.status not in (0, 200) else ""
    return Finding(what, "no", f"{status}{shortened(error.message)}", dict(settings))


async def answer(patient: Patient) -> Finding:
    said = await patient.ask(asking("Answer with the one word OK."))
    if said.error is not None:
        found = refused("answer", said)
        found.blocks = said.heard.status in (0, 200, 401, 402, 403, 404, 405, 429) or said.heard.status >= 500
        found.words += _advice(said)
        return found
    words = f"in {said.heard.seconds:.1f} s"
    if not said.text.strip():
        why = "it used all its tokens for thinking" if said.was_cut else "the reply has no text"
        return Finding("answer", "so-so", f"{words}, but {why}")
    settings = _reasoning(patient, said)
    thinks = ", and it thinks first" if said.thinks or settings else ""
    return Finding("answer", "ok", words + thinks, settings)


async def key(patient: Patient) -> Finding:
    """Tries whether one of several keys works."""
    what = f"key {patient.key + 1}"
    said = await patient.ask(asking("Answer with the one word OK.", max_tokens=MAX_TOKENS_OF_A_KEY))
    if said.error is None or said.heard.status not in (401, 402, 403, 429):
        return Finding(what, "ok", "it works")
    found = refused(what, said)
    found.words += _advice(said)
    return found


def _advice(said: Probed) -> str:
    match said.heard.status:
        case 401 | 403:
            return "; check its api_key"
        case 402 | 429:
            return "; this is about its account or limits, not about settings"
        case 404 | 405:
            return "; check the model's name, base_url and protocol"
    return ""


def _reasoning(patient: Patient, said: Probed) -> dict[str, str]:
    """The setting for where its replies hold thinking; only Chat leaves this open."""
    if not dialects.of(patient.protocol).open_reasoning:
        return {}
    if think.begins(said.text):
        return {"reasoning": "think_tags"}
    try:
        choices = wire.loads(said.heard.body)["choices"]
        has_field = bool(choices[0]["message"].get("reasoning"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {"reasoning": "reasoning"} if has_field else {}


async def stream(patient: Patient) -> Finding:
    said = await patient.ask(asking("Count from one to five, in words.", stream=True))
    if said.error is not None:
        return refused("stream", said)
    kind = next((value for name, value in said.heard.headers if name == "content-type"), "")
    if "event-stream" not in kind and said.heard.body.lstrip()[:1] == b"{":
        return Finding("stream", "so-so", "it sends a whole reply instead of a stream; the proxy makes a stream of it")
    if said.usage is None or not said.usage.prompt:
        return Finding("stream", "so-so", "works, but without usage; the proxy estimates it")
    usage = f"{said.usage.prompt} tokens in, {said.usage.output} out"
    return Finding("stream", "ok", f"works, with usage ({usage})")


async def one_call(patient: Patient) -> Finding:
    probe = asking("What is the weather in Paris? Use the tool.", tools=[TOOL], tool_choice={"type": "any"})
    said = await patient.ask(probe)
    if said.error is not None:
        return refused("tool call", said)
    if not said.calls:
        why = "the answer was cut" if said.was_cut else "it answered with text although a call was required"
        return Finding("tool call", "so-so", f"it made no call: {why}")
    if "city" not in said.calls[0]["input"]:
        return Finding("tool call", "so-so", "it calls the tool, but its arguments do not fit the schema")
    return Finding("tool call", "ok", "works")


async def parallel_calls(patient: Patient) -> Finding:
    text = "What is the weather in Paris, and in Rome? Call the tool for both at once."
    said = await patient.ask(asking(text, tools=[TOOL], tool_choice={"type": "auto"}))
    if said.error is not None:
        return refused("parallel calls", said)
    if len(said.calls) > 1:
        return Finding("parallel calls", "ok", f"works: {len(said.calls)} calls in one answer")
    return Finding(
        "parallel calls", "so-so", "it makes one call at a time" if said.calls else "it made no call this time"
    )


async def image(patient: Patient) -> Finding:
    source = {"type": "base64", "media_type": "image/png", "data": red_square()}
    words = {"type": "text", "text": "Which colour is this? One word."}
    said = await patient.ask(asking("") | {
        "messages": [{"role": "user", "content": [{"type": "image", "source": source}, words]}]
    })  # fmt: skip
    if said.error is not None:
        return refused("image", said, ("image", "vision", "multimodal"), images="false")
    if "red" in said.text.lower():
        return Finding("image", "ok", "works: it named the colour")
    return Finding(
        "image", "so-so", f"it takes images, but may not see them; it said: {shortened(said.text, 40) or 'nothing'}"
    )


async def structured(patient: Patient) -> Finding:
    """Asks for something else than the schema, so that only a server that follows the schema answers by it."""
    form = {"format": {"type": "json_schema", "schema": SIDE_SCHEMA}}
    said = await patient.ask(asking("Tell me in one sentence what a tree is.", output_config=form))
    if said.error is not None:
        return refused("structured output", said, ("schema", "response_format"), output_schema="tool")
    try:
        held = wire.loads(said.text)
        fits = isinstance(held, dict) and list(held) == ["side"] and held["side"] in SIDES
    except ValueError:
        fits = False
    if fits:
        return Finding("structured output", "ok", "works: the reply fits its JSON schema")
    if said.was_cut:
        return Finding("structured output", "so-so", "the answer was cut, so it is not known")
    words = f"it ignores the JSON schema; it said: {shortened(said.text, 40) or 'nothing'}"
    return Finding("structured output", "no", words, {"output_schema": "tool"})


async def usual_fields(patient: Patient) -> Finding:
    before = len(patient.learned)
    fields = dialects.of(patient.protocol).usual
    said = await patient.ask(asking("Answer with the one word OK."), fields)
    left = [quirk.field for quirk in patient.learned[before:]]
    if said.error is not None:
        return refused("usual fields", said)
    if left:
        return Finding("usual fields", "so-so", f"it refuses {', '.join(left)}")
    return Finding("usual fields", "ok", f"it takes {', '.join(fields)}")


async def unknown_fields(patient: Patient) -> Finding:
    said = await patient.ask(asking("Answer with the one word OK."), {UNKNOWN: True})
    if any(quirk.field == UNKNOWN for quirk in patient.learned) or (said.error and said.heard.status in (400, 422)):
        return Finding(
            "unknown fields", "so-so", "it refuses them with a 400, so new fields of clients may need a line in drop"
        )
    if said.error is not None:
        return refused("unknown fields", said)
    return Finding("unknown fields", "ok", "it ignores them")


async def count_tokens(patient: Patient) -> Finding:
    """Asks for a count of tokens, which costs nothing. Chat has no such request."""
    heard = await patient.count(asking("How many tokens is this?"))
    counting = dialects.of(patient.protocol).counting
    try:
        assert counting is not None  # else it is not asked for
        count = wire.loads(heard.body).get(counting.field) if heard.status == 200 else None
    except (ValueError, AttributeError):
        count = None
    if isinstance(count, int):
        return Finding("count_tokens", "ok", f"works ({count} tokens)")
    by_choice = dialects.of(patient.protocol).counts_by_choice
    settings = {"count_tokens": "false"} if by_choice else {}
    return Finding(
        "count_tokens", "so-so", f"it cannot count (it answered {heard.status}), so counts are estimates", settings
    )


def red_square(side: int = 64) -> str:
    """A red PNG in base64."""
    rows = (b"\0" + b"\xff\0\0" * side) * side
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""),
    ]  # fmt: skip
    written = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(written)).decode()


PROBES = (
    Probe("answer", answer),
    Probe("stream", stream),
    Probe("tool call", one_call),
    Probe("parallel calls", parallel_calls),
    Probe("image", image),
    Probe("structured output", structured),
    Probe("usual fields", usual_fields),
    Probe("unknown fields", unknown_fields),
)
"""The probes that cost money. If the first one fails, the others are of no use."""
