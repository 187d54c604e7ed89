"""Legal request bodies of the three protocols, over all that each can say to a translator.

Each is drawn in the spelling that its encoder writes, but for what the `plain_...` functions level out: a text may
stand alone or in a list of one, and a field that is null says nothing. Fields that have no word in the neutral form
are drawn too (they must come back from ext). Texts are never empty: decoders leave those out.
"""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from tests.support.strategies import IDS, MARKS, NAMES, NUMBERS, OBJECTS, SCHEMAS, VALUES, WORDS, Json, either, some
from translate.json import wire

_ARGUMENTS = st.one_of(OBJECTS.map(wire.dumps_text), st.sampled_from(["{", '{"a', "", "free text"]))
_COUNT = st.integers(1, 10**6)
_FLAG = st.booleans()


def _typed(kind: str, optional: Json | None = None, **fields: Any) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields}, optional=optional or {})


def _fixed(required: Json, **optional: Any) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required, optional=optional)


def _just(**fields: Any) -> Json:
    return {key: st.just(value) for key, value in fields.items()}


_URLS = NAMES.map("https://x.test/{}".format)
_BASE64 = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())

# ------------------------------------------------------------------------------------------------ Messages

_CACHED: Json = {"cache_control": MARKS}
_M_TEXT = _typed("text", {**_CACHED, "citations": st.lists(OBJECTS, max_size=2)}, text=WORDS)
_M_IMAGE = _typed(
    "image", _CACHED,
    source=st.one_of(
        _typed("base64", media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp"]), data=_BASE64),
        _typed("url", url=_URLS),
        _typed("file", file_id=IDS),
    ),
)  # fmt: skip
_M_DOCUMENT = _typed(
    "document", {**_CACHED, "title": WORDS, "context": WORDS, "citations": some(enabled=_FLAG)},
    source=st.one_of(
        _typed("base64", media_type=st.just("application/pdf"), data=_BASE64),
        _typed("text", media_type=st.just("text/plain"), data=WORDS),
        _typed("url", url=_URLS),
        _typed("file", file_id=IDS),
        _typed("content", content=either(_M_TEXT, _M_IMAGE, most=2)),
    ),
)  # fmt: skip
_M_UNKNOWN = st.builds(lambda kind, more: more | {"type": kind}, st.sampled_from(["search_result", "new"]), OBJECTS)
_M_RESULT = _typed(
    "tool_result", {
        **_CACHED, "content": either(_M_TEXT, _M_IMAGE, _M_DOCUMENT, _M_UNKNOWN, most=3) | WORDS,
        "is_error": st.just(True),
    },
    tool_use_id=IDS,
)  # fmt: skip
_M_CALL = _typed("tool_use", {**_CACHED, "caller": OBJECTS}, id=IDS, name=NAMES, input=OBJECTS)
_M_THINKING = _typed("thinking", thinking=WORDS | st.just(""), signature=IDS | st.just(""))
_M_REDACTED = _typed("redacted_thinking", data=_BASE64)
_M_TURN = st.one_of(
    _fixed({"role": st.just("user"), "content": WORDS | either(_M_TEXT, _M_IMAGE, _M_DOCUMENT, _M_RESULT, _M_UNKNOWN)}),
    _fixed({
        "role": st.just("assistant"),
        "content": WORDS | either(_M_TEXT, _M_CALL, _M_THINKING, _M_REDACTED, _M_UNKNOWN),
    }),
    _fixed({"role": st.just("system"), "content": WORDS}),
)  # fmt: skip
_M_TOOL = st.one_of(
    _fixed(
        {"name": NAMES, "input_schema": SCHEMAS},
        type=st.just("custom"), description=WORDS, strict=_FLAG, defer_loading=_FLAG, input_examples=st.lists(OBJECTS),
        **_CACHED,
    ),
    _typed("web_search_20250305", {"max_uses": _COUNT}, name=st.just("web_search")),
)  # fmt: skip
_PARALLEL: Json = {"disable_parallel_tool_use": _FLAG}
_M_CHOICE = st.one_of(
    _typed("auto", _PARALLEL), _typed("any", _PARALLEL), _typed("none"), _typed("tool", _PARALLEL, name=NAMES)
)
_DISPLAY: Json = {"display": st.sampled_from(["summarized", "omitted"])}
_M_THINK = st.one_of(
    _typed("enabled", _DISPLAY, budget_tokens=st.integers(1024, 10**6)),
    _typed("adaptive", _DISPLAY),
    _typed("disabled"),
    _typed("between_tools"),
)
_M_FORMAT = _typed("json_schema", schema=SCHEMAS)


@st.composite
def messages_bodies(draw: st.DrawFn) -> Json:
    required = {"model": st.just("m"), "max_tokens": _COUNT, "messages": st.lists(_M_TURN, min_size=1, max_size=4)}
    body: Json = draw(_fixed(
        required,
        system=WORDS | either(_M_TEXT, most=3), tools=st.lists(_M_TOOL, min_size=1, max_size=3, unique_by=_name),
        stop_sequences=st.lists(WORDS, min_size=1, max_size=3), temperature=NUMBERS, top_p=NUMBERS, top_k=_COUNT,
        thinking=_M_THINK, output_config=some(effort=NAMES, format=_M_FORMAT, task_budget=OBJECTS),
        metadata=some(user_id=WORDS, more=VALUES), service_tier=NAMES, stream=st.just(True),
        context_management=OBJECTS, mcp_servers=st.lists(OBJECTS), container=IDS,
    ))  # fmt: skip
    if tools := body.get("tools"):
        choice = draw(st.none() | _M_CHOICE)
        if choice is not None:
            if choice["type"] == "tool":
                choice = choice | {"name": draw(st.sampled_from(tools))["name"]}
            body["tool_choice"] = choice
    return body


def _name(tool: Json) -> str:
    return str(tool.get("name") or tool.get("type"))


def plain_messages(body: Any) -> Any:
    """Texts that stand alone as lists of one block; sections that say nothing left out."""
    if isinstance(body, list):
        return [plain_messages(item) for item in body]
    if not isinstance(body, dict):
        return body
    out = {key: plain_messages(value) for key, value in body.items()}
    for key in ("content", "system"):
        if isinstance(out.get(key), str) and ("role" in out or key == "system" or out.get("type") == "tool_result"):
            out[key] = [{"type": "text", "text": out[key]}]
    return {key: value for key, value in out.items() if key not in ("metadata", "output_config") or value != {}}


# ---------------------------------------------------------------------------------------------------- Chat

_C_TEXT = _typed("text", _CACHED, text=WORDS)
_C_USER_PART = st.one_of(
    _C_TEXT,
    _typed("image_url", image_url=st.one_of(
        _fixed({"url": _BASE64.map("data:image/png;base64,{}".format)}, detail=st.sampled_from(["low", "high"])),
        _fixed({"url": _URLS}),
    )),
    _typed("file", file=_fixed(
        {"file_data": _BASE64.map("data:application/pdf;base64,{}".format)}, filename=NAMES.map("{}.pdf".format))),
    _typed("file", file=_fixed({"file_id": IDS})),
    _typed("input_audio", input_audio=_fixed({"data": _BASE64, "format": st.sampled_from(["wav", "mp3"])})),
    _typed("video_url", video_url=_fixed({"url": _URLS})),
)  # fmt: skip
_C_CALL = st.one_of(
    _typed("function", id=IDS, function=_fixed({"name": NAMES, "arguments": _ARGUMENTS})),
    _typed("custom", id=IDS, custom=_fixed({"name": NAMES, "input": WORDS})),
)
_DETAIL = st.one_of(
    _typed("reasoning.text", {"signature": IDS, "index": st.just(0)}, text=WORDS),
    _typed("reasoning.encrypted", {"id": IDS}, data=_BASE64),
    _typed("reasoning.summary", summary=WORDS),
)
_C_TURN = st.one_of(
    _fixed({"role": st.just("user"), "content": WORDS | either(_C_USER_PART)}, name=NAMES),
    _fixed({"role": st.sampled_from(["system", "developer"]), "content": WORDS | either(_C_TEXT, most=2)}, name=NAMES),
    _fixed(
        {"role": st.just("assistant"), "content": WORDS},
        tool_calls=either(_C_CALL, most=3), refusal=WORDS, name=NAMES, reasoning_content=WORDS, prefix=_FLAG,
    ),
    _fixed({"role": st.just("assistant"), "content": WORDS, "reasoning_details": either(_DETAIL, most=3)}),
    _fixed({"role": st.just("tool"), "tool_call_id": IDS, "content": WORDS | either(_C_TEXT, most=2)}, name=NAMES),
)  # fmt: skip
_C_TOOL = st.one_of(
    _typed("function", function=_fixed({"name": NAMES}, description=WORDS, parameters=SCHEMAS, strict=_FLAG)),
    _typed("custom", custom=_fixed({"name": NAMES}, description=WORDS, format=st.one_of(
        _typed("text"), _typed("grammar", grammar=_fixed({"syntax": st.just("lark"), "definition": WORDS}))))),
    _typed("openrouter:web_search", {"parameters": OBJECTS}),
)  # fmt: skip
_C_FORMAT = st.one_of(
    _typed("json_object"),
    _typed("json_schema", json_schema=_fixed({"name": NAMES}, description=WORDS, schema=SCHEMAS, strict=_FLAG)),
    _typed("regex", pattern=WORDS),
)


@st.composite
def chat_bodies(draw: st.DrawFn) -> Json:
    body: Json = draw(_fixed(
        {"model": st.just("m"), "messages": st.lists(_C_TURN, min_size=1, max_size=5)},
        tools=st.lists(_C_TOOL, min_size=1, max_size=3), parallel_tool_calls=_FLAG, max_tokens=_COUNT,
        temperature=NUMBERS, top_p=NUMBERS, top_k=_COUNT, seed=_COUNT, frequency_penalty=NUMBERS,
        presence_penalty=NUMBERS, stop=st.lists(WORDS, min_size=1, max_size=4), response_format=_C_FORMAT,
        reasoning_effort=st.sampled_from(["none", "minimal", "low", "high", "xhigh"]), user=IDS,
        prompt_cache_key=IDS, service_tier=NAMES, stream=st.just(True), logit_bias=OBJECTS, metadata=OBJECTS,
        verbosity=NAMES, store=_FLAG, modalities=st.lists(NAMES), safety_identifier=IDS,
    ))  # fmt: skip
    if tools := body.get("tools"):
        named = [tool for tool in tools if tool["type"] in ("function", "custom")]
        choices: list[Any] = [None, "auto", "none", "required"]
        if named:
            tool = draw(st.sampled_from(named))
            choices.append({"type": tool["type"], tool["type"]: {"name": tool[tool["type"]]["name"]}})
        if (choice := draw(st.sampled_from(choices))) is not None:
            body["tool_choice"] = choice
    return body


def plain_chat(body: Any) -> Any:
    """Without what says nothing: null and empty lists. Who asks is told once, as `user`."""
    if isinstance(body, dict):
        if "safety_identifier" in body and "user" not in body:
            body = body | {"user": body["safety_identifier"], "safety_identifier": None}
        return {key: said for key, value in body.items() if (said := plain_chat(value)) not in (None, [])}
    return [plain_chat(item) for item in body] if isinstance(body, list) else body


# ----------------------------------------------------------------------------------------------- Responses

_R_TEXT = _typed("input_text", text=WORDS)
_R_USER_PART = st.one_of(
    _R_TEXT,
    _typed("input_image", {"detail": st.sampled_from(["low", "high", "auto"])}, image_url=st.one_of(
        _URLS, _BASE64.map("data:image/png;base64,{}".format))),
    _typed("input_image", file_id=IDS),
    _typed("input_file", {"filename": NAMES}, file_data=_BASE64.map("data:application/pdf;base64,{}".format)),
    _typed("input_file", file_url=_URLS),
    _typed("input_file", file_id=IDS),
    _typed("input_video", video_url=_URLS),
)  # fmt: skip
_R_SPOKEN = st.one_of(
    _typed("output_text", {"annotations": either(OBJECTS.filter(bool), most=2)}, text=WORDS),
    _typed("refusal", refusal=WORDS),
)
_R_OUTPUT = WORDS | either(_R_TEXT, _typed("input_image", image_url=_URLS), _typed("input_file", file_id=IDS), most=3)
_R_ITEM = st.one_of(
    _typed("message", {"id": IDS, "status": st.just("completed")}, role=st.just("user"),
           content=either(_R_USER_PART, most=3)),
    _typed("message", role=st.sampled_from(["system", "developer"]), content=either(_R_TEXT, most=2)),
    _typed("message", {"id": IDS, "status": st.just("completed"), "phase": st.just("commentary")},
           role=st.just("assistant"), content=either(_R_SPOKEN, most=3)),
    _typed("reasoning", {"encrypted_content": _BASE64, "id": IDS, "content": either(
        _typed("reasoning_text", text=WORDS), most=2)}, summary=either(_typed("summary_text", text=WORDS), least=0)),
    _typed("function_call", {"id": IDS, "namespace": NAMES, "status": st.just("completed")},
           call_id=IDS, name=NAMES, arguments=_ARGUMENTS),
    _typed("custom_tool_call", {"id": IDS}, call_id=IDS, name=NAMES, input=WORDS),
    _typed("function_call_output", {"id": IDS}, call_id=IDS, output=_R_OUTPUT),
    _typed("custom_tool_call_output", call_id=IDS, output=_R_OUTPUT),
    _typed("web_search_call", {"id": IDS}, action=OBJECTS),
    _typed("computer_call_output", call_id=IDS, output=OBJECTS),
    _typed("tool_search_output", call_id=IDS, tools=st.just([])),
)  # fmt: skip
_R_PLAIN_TOOL = st.one_of(
    _typed("function", {
        "description": WORDS, "parameters": SCHEMAS, "strict": _FLAG, "defer_loading": st.just(True),
    }, name=NAMES),
    _typed("custom", {"description": WORDS, "format": _typed("text") | _typed(
        "grammar", syntax=st.just("lark"), definition=WORDS)}, name=NAMES),
)  # fmt: skip
_R_TOOL = st.one_of(
    _R_PLAIN_TOOL,
    _typed("namespace", name=NAMES, description=WORDS, tools=either(_R_PLAIN_TOOL, most=3)),
    _typed("web_search", {"search_context_size": NAMES}),
)
_R_FORMAT = st.one_of(
    _typed("json_object"),
    _typed("json_schema", {"description": WORDS, "strict": _FLAG}, name=NAMES, schema=SCHEMAS),
    _typed("new", more=VALUES.filter(lambda value: value is not None)),
)
_R_EFFORT = some(
    effort=st.sampled_from(["none", "low", "high"]), summary=st.sampled_from(["auto", "detailed"]), context=NAMES
).filter(bool)


@st.composite
def responses_bodies(draw: st.DrawFn) -> Json:
    body: Json = draw(_fixed(
        {"model": st.just("m"), "input": either(_R_ITEM, most=6)},
        instructions=WORDS, tools=st.lists(_R_TOOL, min_size=1, max_size=3, unique_by=_name),
        parallel_tool_calls=_FLAG, max_output_tokens=_COUNT, temperature=NUMBERS, top_p=NUMBERS,
        text=some(format=_R_FORMAT, verbosity=NAMES), reasoning=_R_EFFORT, user=IDS, safety_identifier=IDS,
        prompt_cache_key=IDS, service_tier=NAMES, stream=st.just(True), store=_FLAG, include=st.lists(NAMES),
        metadata=OBJECTS, truncation=NAMES, max_tool_calls=_COUNT, top_logprobs=_COUNT,
    ))  # fmt: skip
    named = [tool for tool in body.get("tools", ()) if tool["type"] in ("function", "custom")]
    choices: list[Any] = [None, "auto", "none", "required"]
    if named:
        tool = draw(st.sampled_from(named))
        choices.append({"type": tool["type"], "name": tool["name"]})
    if (choice := draw(st.sampled_from(choices))) is not None:
        body["tool_choice"] = choice
    return body


def plain_responses(body: Any) -> Any:
    """Outputs of texts alone as a string; sections that say nothing left out."""
    if isinstance(body, list):
        return [plain_responses(item) for item in body]
    if not isinstance(body, dict):
        return body
    out = {key: plain_responses(value) for key, value in body.items()}
    output = out.get("output")
    if isinstance(output, list) and all(part.get("type") == "input_text" and len(part) == 2 for part in output):
        out["output"] = "\n".join(part["text"] for part in output)
    return {key: value for key, value in out.items() if key not in ("text", "reasoning") or value != {}}
