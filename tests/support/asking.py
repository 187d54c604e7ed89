"""What a request asks, irrespective of protocol: read from its body by code that knows no translator.

`of_messages` and `of_chat` give an `Asking`; `missing(want, got, dropped)` names what of the first did not
reach the second and was not reported as dropped. `normal_messages` and `normal_chat` bring a body into one
of the several spellings that mean the same (a string or one text block, a null or nothing), so that a body
that went into the neutral form and back can be compared with itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.meaning import arguments
from translate.conversation import Tool
from translate.messages import client_tools

Json = dict[str, Any]
BILLING = "x-anthropic-billing-header:"


@dataclass
class Asking:
    """texts: (role, text), role "system" for instructions wherever they stand. results: (call id, text).
    media: base64 data, URLs and file ids of images, documents and audio. tools: name -> schema of those that
    the client runs and offers. choice: auto, any, none, or the name of one tool. foreign: types that only
    this protocol has: blocks, and "tools.TYPE"."""

    texts: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    media: list[str] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    choice: str = ""
    parallel: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = field(default_factory=list)
    schema: Any = None
    stream: bool = False
    foreign: set[str] = field(default_factory=set)


def missing(want: Asking, got: Asking, dropped: list[str], names: dict[str, str]) -> list[str]:
    """What `want` says, `got` does not, and `dropped` does not own up to. names: changed tool name -> own."""
    out = []
    everything = "\n".join([t for _, t in got.texts] + [t for _, t in got.results])
    for role, text in want.texts:
        if text.strip() and text.strip() not in everything:
            out.append(f"text of {role}: {text[:80]!r}")
    for role in ("user", "assistant"):  # the system's may become the user's, in mid-conversation
        if any(r == role and t.strip() for r, t in want.texts) and not any(r == role for r, _ in got.texts):
            out.append(f"role: no text of {role}")
    theirs = [(names.get(name, name), given) for name, given in got.calls]
    if theirs != want.calls:
        out.append(f"calls: want {want.calls} got {theirs}")
    said = "\n".join(text for _, text in [*got.results, *got.texts])
    out += [f"result: {text[:80]!r}" for _, text in want.results if text.strip() and text.strip() not in said]
    left = list(got.media)
    for item in want.media:
        if item in left:
            left.remove(item)
        elif item not in everything:  # a plain text document may be said as text
            out.append(f"media: {item[:60]!r}")
    their_tools = {names.get(name, name): schema for name, schema in got.tools.items()}
    cut = {field.rpartition(".")[2] for field in dropped}
    theirs_told, ours_told = ({n: told(each, cut) for n, each in of.items()} for of in (their_tools, want.tools))
    if theirs_told != ours_told:
        out.append(f"tools: want {sorted(want.tools)} got {sorted(their_tools)}")
    out += _scalars(want, got, dropped, names)
    return out


_FIELDS = {
    "choice": {"tool_choice"},
    "parallel": {"parallel_tool_calls", "tool_choice", "tool_choice.disable_parallel_tool_use"},
    "max_tokens": {"max_tokens", "max_completion_tokens"},
    "temperature": {"temperature"},
    "top_p": {"top_p"},
    "stop": {"stop", "stop_sequences"},
    "schema": {"response_format", "output_config", "output_config.format", "output_format"},
    "stream": set(),
}


def _scalars(want: Asking, got: Asking, dropped: list[str], names: dict[str, str]) -> list[str]:
    out = []
    for name, fields in _FIELDS.items():
        wanted, given = getattr(want, name), getattr(got, name)
        if name == "choice":
            given = names.get(given, given)
        if name == "schema":
            cut = {field.rpartition(".")[2] for field in dropped}
            wanted, given = told(wanted, cut), told(given, cut)
        if name == "temperature" and wanted is not None and given is not None:
            wanted = min(wanted, 1.0) if given <= 1 else wanted  # Anthropic's scale ends at 1
        default = {"choice": "auto", "temperature": 1, "top_p": 1, "parallel": True}.get(name)  # may be left unsaid
        unsaid = wanted in (None, "", [], False) or (wanted == default and given in (None, ""))
        if wanted != given and not unsaid and not fields & set(dropped):
            out.append(f"{name}: want {str(wanted)[:300]!r} got {str(given)[:300]!r}")
    return out


# ------------------------------------------------------------------------------------------- Messages


def searches(tool: Json) -> bool:
    """Does the provider search for deferred tools? Elsewhere the few there are in the corpus are all offered."""
    return str(tool.get("type")).startswith("tool_search_tool_")


def of_messages(body: Json) -> Asking:
    out = Asking(max_tokens=body.get("max_tokens"), stop=body.get("stop_sequences") or [])
    out.temperature, out.top_p, out.stream = (
        body.get("temperature"),
        body.get("top_p"),
        body.get("stream") is True,
    )
    _content(out, "system", body.get("system") or [])
    shown = _references(body.get("messages"))
    for message in body["messages"]:
        _content(out, message["role"], message["content"])
    for tool in body.get("tools") or []:
        if tool.get("type") not in (None, "custom"):
            functions = client_tools.functions(Tool(tool.get("name", ""), kind="server", protocol="messages", raw=tool))
            out.tools |= {function.name: _schema(function.schema) for function, _ in functions}
            if not functions and not searches(tool):
                out.foreign.add(f"tools.{tool['type']}")
        elif not tool.get("defer_loading") or tool["name"] in shown or any(map(searches, body["tools"])):
            out.tools[tool["name"]] = _schema(tool.get("input_schema"))
    choice = body.get("tool_choice") or {}
    out.choice = choice.get("name") or choice.get("type") or ""
    if choice.get("disable_parallel_tool_use") is not None and body.get("tools"):
        out.parallel = not choice["disable_parallel_tool_use"]
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    out.schema = wanted.get("schema")
    return out


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _references(item)}
    if not isinstance(value, dict):
        return set()
    own = {str(value.get("tool_name") or value.get("name"))} if value.get("type") == "tool_reference" else set()
    called = {str(value.get("name"))} if value.get("type") == "tool_use" else set()
    return own | called | {name for item in value.values() for name in _references(item)}


def _content(out: Asking, role: str, content: Any) -> None:
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        kind = block.get("type")
        if kind == "text":
            if not block["text"].startswith(BILLING):
                out.texts.append((role, block["text"]))
        elif kind in ("image", "document"):
            _source(out, role, block)
        elif kind == "tool_use":
            out.calls.append((block["name"], arguments(block.get("input"))))
        elif kind == "tool_result":
            _result(out, block)
        elif kind not in ("thinking", "redacted_thinking"):
            out.foreign.add(str(kind))


def _source(out: Asking, role: str, block: Json) -> None:
    source = block["source"]
    if source["type"] == "content":
        return _content(out, role, source["content"])
    out.media.append(source.get("data") or source.get("url") or source.get("file_id"))


def _result(out: Asking, block: Json) -> None:
    content = block.get("content") or ""
    inner = Asking()
    _content(inner, "tool", content)
    out.results.append((block["tool_use_id"], "\n".join(text for _, text in inner.texts)))
    out.media += inner.media
    out.foreign |= inner.foreign


# ----------------------------------------------------------------------------------------------- Chat


def of_chat(body: Json) -> Asking:
    stop = body.get("stop") or []
    out = Asking(stop=[stop] if isinstance(stop, str) else stop, stream=body.get("stream") is True)
    out.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    out.temperature, out.top_p = body.get("temperature"), body.get("top_p")
    for message in body["messages"]:
        _chat_message(out, message)
    for tool in [*(body.get("tools") or []), *({"function": f} for f in body.get("functions") or [])]:
        if tool.get("type", "function") != "function":
            out.foreign.add(f"tools.{tool['type']}")
        else:
            out.tools[tool["function"]["name"]] = _schema(tool["function"].get("parameters"))
    choice = body.get("tool_choice") or body.get("function_call") or ""
    if isinstance(choice, dict):
        choice = (choice.get("function") or choice).get("name") or choice.get("type")
    out.choice = "any" if choice == "required" else choice
    out.parallel = body.get("parallel_tool_calls") if out.tools else None
    wanted = body.get("response_format") or {}
    out.schema = (wanted.get("json_schema") or {}).get("schema")
    return out


def _chat_message(out: Asking, message: Json) -> None:
    role = {"developer": "system", "function": "tool"}.get(message["role"], message["role"])
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if role == "tool":
        texts = "\n".join(part.get("text") or "" for part in parts)
        out.results.append((message.get("tool_call_id") or "", texts))
        parts = [part for part in parts if part.get("type") != "text"]
    for part in parts:
        _chat_part(out, role, part)
    if message.get("refusal"):
        out.texts.append((role, message["refusal"]))
    calls = [call.get("function") for call in message.get("tool_calls") or []]
    for function in [*calls, *filter(None, [message.get("function_call")])]:
        if function:
            out.calls.append((function["name"], arguments(function.get("arguments"))))


def _chat_part(out: Asking, role: str, part: Json) -> None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        if part[kind]:
            out.texts.append((role, part[kind]))
    elif kind == "image_url":
        given = part["image_url"]
        url = given if isinstance(given, str) else given["url"]
        out.media.append(url.partition(",")[2] if url.startswith("data:") else url)
    elif kind == "file":
        given = part["file"].get("file_data") or part["file"].get("file_id") or ""
        out.media.append(given.partition(",")[2] if given.startswith("data:") else given)
    elif kind == "input_audio":
        given = part["input_audio"]  # Mistral: the data alone
        out.media.append(given if isinstance(given, str) else given["data"])
    elif kind != "thinking":
        out.foreign.add(str(kind))


def told(schema: Any, cut: set[str], names: bool = False) -> Any:
    """A schema without the keywords that are reported, and what a dialect adds to close it. names: the keys are those
    of properties."""
    if isinstance(schema, list):
        return [told(each, cut) for each in schema]
    if not isinstance(schema, dict):
        return schema
    gone = cut | {"description", "additionalProperties", "$schema", "default"}
    return {key: told(value, cut, key == "properties") for key, value in schema.items() if names or key not in gone}


def _schema(schema: Any) -> Any:
    schema = dict(schema or {})
    schema.setdefault("type", "object")
    schema.setdefault("properties", {})
    return schema


# ------------------------------------------------------------------------------------------ identity


def normal_messages(body: Json) -> Json:
    """One spelling of what may be spelled in several ways; drops what decode drops on purpose."""
    out = {key: value for key, value in body.items() if value is not None and key != "model"}
    if "system" in out:
        out["system"] = [b for b in _blocks(out["system"]) if not b.get("text", "").startswith(BILLING)]
    merged: list[Json] = []
    for message in out["messages"]:
        content = [_normal_block(b) for b in _blocks(message["content"])]
        rest = {k: v for k, v in message.items() if k != "content"}
        if merged and {k: v for k, v in merged[-1].items() if k != "content"} == rest and rest["role"] != "system":
            merged[-1]["content"] += content
        elif content:
            merged.append(rest | {"content": content})
    if merged[-1]["role"] == "assistant" and merged[-1]["content"][-1]["type"] == "text":
        merged[-1]["content"][-1]["text"] = merged[-1]["content"][-1]["text"].rstrip()
    out["messages"] = merged
    unsaid = {"type": "custom", "description": ""}
    out["tools"] = [{k: v for k, v in tool.items() if unsaid.get(k) != v} for tool in out.get("tools", [])]
    wanted = out.pop("output_format", None)
    if wanted:
        out["output_config"] = out.get("output_config", {}) | {"format": wanted}
    return {key: value for key, value in out.items() if value not in ([], {}, False)}


def _blocks(content: Any) -> list[Json]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])
    return [dict(b) for b in blocks if not (b["type"] == "text" and not b["text"])]


def _normal_block(block: Json) -> Json:
    if block["type"] == "tool_result":
        block["content"] = [_normal_block(b) for b in _blocks(block.get("content"))]
    if isinstance(block.get("source"), dict) and block["source"].get("type") == "content":
        block["source"] = block["source"] | {"content": _blocks(block["source"]["content"])}
    return {key: value for key, value in block.items() if value is not None and (key, value) != ("is_error", False)}


def normal_chat(body: Json) -> Json:
    """The same for Chat: lists for single values, no nulls and defaults, arguments parsed, the servers' own
    spellings (Mistral's "any", reasoning for reasoning_content) as OpenAI's. How much to reason is left
    out: it has half a dozen spellings, which come home as reasoning_effort."""
    effort = {"reasoning", "thinking", "enable_thinking", "reasoning_effort"}
    out = {key: value for key, value in body.items() if value is not None and key not in effort | {"model"}}
    if isinstance(out.get("stop"), str):
        out["stop"] = [out["stop"]]
    if out.get("n") == 1:
        del out["n"]
    if out.get("tool_choice") == "any":
        out["tool_choice"] = "required"
    if (out.get("response_format") or {}).get("type") == "json_schema":
        named = {"name": "output"} | out["response_format"]["json_schema"]
        out["response_format"] = out["response_format"] | {"json_schema": named}
    out["tools"] = [_normal_tool(tool) for tool in out.get("tools") or []]
    out["messages"] = [_normal_message(message) for message in out["messages"]]
    return {key: value for key, value in out.items() if value not in ([], {}, False)}


def _normal_tool(tool: Json) -> Json:
    if not isinstance(tool.get("function"), dict):
        return tool
    function = {k: v for k, v in tool["function"].items() if v not in (None, "")}
    return tool | {"function": function | {"parameters": _schema(function.get("parameters"))}}


def _normal_message(message: Json) -> Json:
    out = {key: value for key, value in message.items() if value not in (None, [], "")}
    if "reasoning" in out:
        out.setdefault("reasoning_content", out.pop("reasoning"))
    content = out.get("content") or []
    out["content"] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if "tool_calls" in out:
        out["tool_calls"] = [_normal_call(call) for call in out["tool_calls"]]
    return out


def _normal_call(call: Json) -> Json:
    rest = {key: value for key, value in call.items() if key not in ("index", "function")}
    function = call.get("function") or {}
    return {"type": "function"} | rest | {"function": function | {"arguments": arguments(function.get("arguments"))}}


def unlike(want: Any, got: Any, path: str = "") -> list[str]:
    """Where two JSON values differ: paths, with both values."""
    if isinstance(want, dict) and isinstance(got, dict):
        keys = sorted({*want, *got})
        return [d for k in keys for d in unlike(want.get(k, "(none)"), got.get(k, "(none)"), f"{path}.{k}")]
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [d for i, pair in enumerate(zip(want, got, strict=True)) for d in unlike(*pair, f"{path}.{i}")]
    same = want == got
    return [] if same else [f"{path[1:]}: want {json.dumps(want)[:160]} got {json.dumps(got)[:160]}"]
