"""What a Responses request asks: the third reader of requests (see asking.py, whose words these are).

Free-form tools and calls read as what they are bridged to, functions that take {"input": text}, so that they compare
with what another protocol can say. Names are read without their namespace.
"""

from __future__ import annotations

from typing import Any

from tests.support.asking import Asking, Json, _schema
from tests.support.meaning import arguments
from translate.conversation import Tool
from translate.responses import client_tools

CUSTOM = "free-form"
_OFFERING = ("tool_search_output", "additional_tools")


def of_responses(body: Json) -> Asking:
    out = Asking(max_tokens=body.get("max_output_tokens"), stream=body.get("stream") is True)
    out.temperature, out.top_p = body.get("temperature"), body.get("top_p")
    if body.get("instructions"):
        out.texts.append(("system", body["instructions"]))
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for item in items:
        _item(out, item)
    called = {item.get("name") for item in items if item.get("type") in ("function_call", "custom_tool_call")}
    own = [tool for tool in body.get("tools") or [] if tool.get("type") == "tool_search"]
    hosted = any(tool.get("execution") != "client" for tool in own)  # the few that it would find are all offered
    _tools(out, body.get("tools") or [], None if hosted else called)
    out.choice = _choice(out, body.get("tool_choice") or "")
    out.parallel = body.get("parallel_tool_calls") if out.tools else None
    out.schema = ((body.get("text") or {}).get("format") or {}).get("schema")
    return out


def _tools(out: Asking, tools: list[Json], shown: set[Any] | None) -> None:
    """shown: the deferred ones that are offered; None for all."""
    for tool in tools:
        kind = tool.get("type")
        if kind == "namespace":
            _tools(out, tool["tools"], shown)
        elif kind not in ("function", "custom"):
            function = client_tools.function(Tool(kind, kind="server", protocol="responses", raw=tool))
            if function is not None:
                out.tools[function.name] = _schema(function.schema)
            elif kind != "tool_search":
                out.foreign.add(f"tools.{kind}")
        elif shown is None or not tool.get("defer_loading") or tool["name"] in shown:
            out.tools[tool["name"]] = CUSTOM if kind == "custom" else _schema(tool.get("parameters"))


def _choice(out: Asking, choice: Any) -> str:
    if not isinstance(choice, dict):
        return "any" if choice == "required" else str(choice)
    if choice.get("type") != "allowed_tools":
        return str(choice.get("name") or choice["type"])
    names = {tool.get("name") for tool in choice["tools"]}
    out.tools = {name: schema for name, schema in out.tools.items() if name in names}
    return "any" if choice.get("mode") == "required" else "auto"


def _item(out: Asking, item: Json) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        role = {"developer": "system"}.get(item["role"], item["role"])
        content = item.get("content") or []
        for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content:
            _part(out, role, part)
    elif kind in ("function_call", "custom_tool_call"):
        given = {"input": item["input"]} if kind == "custom_tool_call" else arguments(item.get("arguments"))
        out.calls.append((item["name"], given))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        inner = Asking()
        output = item.get("output") or []
        for part in [{"type": "input_text", "text": output}] if isinstance(output, str) else output:
            _part(inner, "tool", part)
        out.results.append((item["call_id"], "\n".join(text for _, text in inner.texts)))
        out.media += inner.media
    elif kind == "tool_search_call":
        out.calls.append(("tool_search", arguments(item.get("arguments"))))
    elif kind in _OFFERING:
        _tools(out, item.get("tools") or [], None)
    elif kind != "reasoning":
        out.foreign.add(kind)


def _part(out: Asking, role: str, part: Json) -> None:
    kind = part.get("type")
    if isinstance(said := part.get("text") or part.get("refusal"), str):
        out.texts.append((role, said))
    elif kind in ("input_image", "input_file"):
        keys = ("image_url", "file_data", "file_url", "file_id")
        where = next((part[key] for key in keys if part.get(key)), "")
        out.media.append(where.partition(",")[2] if where.startswith("data:") else where)
    elif kind not in ("input_text", "output_text", "refusal"):
        out.foreign.add(str(kind))
