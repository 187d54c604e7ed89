"""A Responses request's tools and tool_choice.

Functions and custom tools are the client's to run, alone or in a namespace; anything else the provider runs, and no
other protocol knows it. A tool with defer_loading is not offered before something has shown it: a search's output,
or a call in the history. tool_choice allowed_tools leaves the others out, which comes to the same.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from translate import recurring
from translate.conversation import Purpose, Tool, ToolChoice
from translate.failures import problems
from translate.fields.leftovers import note_within
from translate.json.json_fields import object_of, objects_of, text_of

_CHOICES: dict[str, Literal["auto", "none", "any"]] = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
_FUNCTION = ("type", "name", "description", "parameters", "strict", "defer_loading")
_WEB_SEARCH = re.compile(r"web_search(_preview)?(_\d+)*")
_FORMAT = ("type", "syntax", "definition")
_NAMESPACE = ("type", "name", "description", "tools")
_CUSTOM = ("type", "name", "description", "format", "defer_loading")


def read_tools(tools: Any, path: str = "tools") -> list[Tool]:
    """Reads a list of tools. Raises BadRequest naming the tool."""
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise problems.wrong_type(path, "an array of objects", tools)
    found: list[Tool] = []
    given: set[int] = set()
    for i, raw in enumerate(tools):
        if type(raw) is recurring.Recurring and raw.get("type") == "function" and raw.get("defer_loading") is not True:
            found.append(recurring.one(raw, _function, f"{path}[{i}]", given))
        else:
            found += _read(raw, f"{path}[{i}]")
    return found


def _read(raw: Any, path: str) -> list[Tool]:
    if not isinstance(raw, dict):
        raise problems.wrong_type(path, "an object", raw)
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise problems.missing(f"{path}.type")
    if kind == "function":
        return [_function(raw, path)]
    if kind == "custom":
        return [_custom(raw, path)]
    if kind == "namespace":
        return _namespace(raw, path)
    return [Tool(kind, kind="server", protocol="responses", raw=raw, purpose=_purpose(kind, raw))]


def _purpose(kind: str, raw: dict[str, Any]) -> Purpose:
    if _WEB_SEARCH.fullmatch(kind):
        return "web_search"
    return "search_hosted" if kind == "tool_search" and raw.get("execution") != "client" else ""


def _function(raw: dict[str, Any], path: str) -> Tool:
    schema = raw.get("parameters")
    if schema is not None and not isinstance(schema, dict):
        raise problems.wrong_type(f"{path}.parameters", "an object", schema)
    strict = raw.get("strict")
    tool = Tool(_name(raw, path), text_of(raw, "description"), schema, strict if isinstance(strict, bool) else None)
    return _rest(tool, raw, _FUNCTION)


def _custom(raw: dict[str, Any], path: str) -> Tool:
    format = raw.get("format")
    tool = Tool(_name(raw, path), text_of(raw, "description"), kind="custom")
    tool.raw = format if isinstance(format, dict) else {}
    note_within(tool.raw, "format", _FORMAT, tool.ext)
    return _rest(tool, raw, _CUSTOM)


def _rest(tool: Tool, raw: dict[str, Any], known: tuple[str, ...]) -> Tool:
    if raw.get("defer_loading") is True:
        tool.deferred = tool.declared_deferred = True
        tool.ext["responses.form"] = {"deferred": True}
    if rest := {key: value for key, value in raw.items() if key not in known and value is not None}:
        tool.ext["responses"] = rest
    return tool


def _namespace(raw: dict[str, Any], path: str) -> list[Tool]:
    """The first tool of a namespace has the namespace's description, so that the model reads it only once."""
    name = _name(raw, path)
    tools = read_tools(raw.get("tools"), f"{path}.tools")
    for tool in tools:
        tool.namespace = name
    if tools:
        tools[0].about_namespace = text_of(raw, "description")
        note_within(raw, "namespace", _NAMESPACE, tools[0].ext)
    return tools


def _name(raw: dict[str, Any], path: str) -> str:
    if not (name := text_of(raw, "name")):
        raise problems.missing(f"{path}.name")
    return name


# ---------------------------------------------------------------------------------------------------- choice


def read_choice(choice: Any) -> ToolChoice | None:
    """Reads tool_choice. Raises BadRequest for what is none."""
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise problems.invalid("tool_choice", f"{choice!r} is none of 'none', 'auto' and 'required'")
        return ToolChoice(_CHOICES[choice])
    if not isinstance(choice, dict):
        raise problems.wrong_type("tool_choice", "a string or an object", choice)
    kind = text_of(choice, "type")
    if kind == "allowed_tools":
        return ToolChoice("any" if _of_allowed(choice).get("mode") == "required" else "auto")
    if kind in _CHOICES:
        return ToolChoice(_CHOICES[kind])
    if kind in ("function", "custom"):
        return ToolChoice("tool", _name(choice, "tool_choice"), text_of(choice, "namespace"))
    return ToolChoice("tool", kind)


def allowed(tools: list[Tool], choice: Any) -> list[Tool]:
    """Returns the tools that tool_choice leaves."""
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return tools
    names = set()
    for raw in objects_of(_of_allowed(choice), "tools"):
        kind = text_of(raw, "type")
        names.add(text_of(raw, "name") or text_of(object_of(raw, kind), "name") or kind)
    return [tool for tool in tools if tool.name in names or tool.namespace in names]


def _of_allowed(choice: dict[str, Any]) -> dict[str, Any]:
    """Returns mode and tools of allowed_tools; some clients write them as in Chat, one level deeper."""
    return object_of(choice, "allowed_tools") or choice
