"""A Gemini request's tools: functions, and what Google runs itself, one field of an entry each."""

from __future__ import annotations

from typing import Any

from translate.conversation import Purpose, Tool
from translate.gemini.fields import Raw, camel, items, text, wrong
from translate.gemini.schema import as_json_schema

_SEARCHES = ("googleSearch", "googleSearchRetrieval", "enterpriseWebSearch")
_DECLARED = frozenset({"name", "description", "parameters", "parametersJsonSchema"})


def tools_of(given: Raw) -> list[Tool]:
    """Returns the tools. Raises BadRequest naming the field."""
    return [tool for i, each in enumerate(items(given, "tools")) for tool in _entry(each, f"tools[{i}]")]


def _entry(given: Any, where: str) -> list[Tool]:
    if not isinstance(given, dict):
        raise wrong(where, "an object is expected")
    found: list[Tool] = []
    for kind, said in camel(given).items():
        if kind == "functionDeclarations":
            for n, each in enumerate(said if isinstance(said, list) else [said]):
                found.append(_function(each, f"{where}.functionDeclarations[{n}]"))
        else:
            purpose: Purpose = "web_search" if kind in _SEARCHES else ""
            raw = {"type": kind, **(camel(said) if isinstance(said, dict) else {})}
            found.append(Tool(kind, kind="server", protocol="gemini", raw=raw, purpose=purpose))
    return found


def _function(given: Any, where: str) -> Tool:
    if not isinstance(given, dict):
        raise wrong(where, "an object is expected")
    raw = camel(given)
    name = text(raw, "name", f"{where}.")
    if not name:
        raise wrong(f"{where}.name", "a name is expected")
    schema = raw.get("parametersJsonSchema")
    if schema is None and raw.get("parameters") is not None:
        schema = as_json_schema(raw["parameters"])
    if schema is not None and not isinstance(schema, dict):
        raise wrong(f"{where}.parameters", "an object is expected")
    left = {f"functionDeclarations.{key}": value for key, value in raw.items() if key not in _DECLARED}
    ext = ({"gemini": left} if left else {}) | {"gemini.form": {"raw": raw}}
    return Tool(name, text(raw, "description", f"{where}."), schema, ext=ext)


def allowed(tools: list[Tool], names: list[str]) -> list[Tool]:
    """Returns the tools that may be called: those of Google's, and the functions of these names; all where none is
    named."""
    return [tool for tool in tools if tool.kind == "server" or tool.name in names] if names else tools
