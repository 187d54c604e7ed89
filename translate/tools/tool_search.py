"""The search for deferred tools, made by the proxy if the provider that would make it is not asked.

A request may offer hundreds of tools and let the provider show the model only those that its own search finds. For an
upstream without such a search, the search is a function that the proxy answers itself: by a regular expression, or by
words, whose weight is that of BM25. It looks at what Anthropic documents for its own search: names, descriptions, and
the names and descriptions of arguments. The client sees the search in its own protocol: Messages' server_tool_use and
tool_search_tool_result, Responses' tool_search_call and tool_search_output.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from translate import repair
from translate.conversation import Part, Text, Tool, ToolResult, Unknown
from translate.json import wire
from translate.json.json_fields import list_of, text_of
from translate.target import ToolSearch
from translate.tools.search_pattern import BadPattern, Pattern

Raw = dict[str, Any]

MOST_FOUND = 5  # as many as Anthropic gives
NOTHING = "No tool matches; try other words."

MESSAGES_TYPE = re.compile(r"tool_search_tool_(bm25|regex)(?:_\d{8})?")
_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TEXT_LIMIT = 4_000  # characters of one tool that are looked at
_K1, _B = 1.2, 0.75  # BM25's usual constants

_ABOUT = "Search for tools by {how}. There are {count} that are not shown yet; those found can be called from then on."
_PARAMETERS: Raw = {
    "bm25": {"query": {"type": "string", "description": "Words that say what the tool does."}},
    "regex": {"query": {
        "type": "string",
        "description": "A Python regular expression, at most 200 characters, which is searched for in the tools' "
        "names, descriptions and arguments; upper and lower case are the same.",
    }},
}  # fmt: skip


def kind_of(tool: Tool) -> str:
    """Returns "bm25", "regex" or "hosted" for a search that the provider runs, else ""."""
    found = tool.purpose.removeprefix("search_")
    return found if found != tool.purpose else ""


def function(name: str, kind: str, tools: list[Tool]) -> Tool:
    """Returns the search as a function. It names the namespaces, which tell the model what there may be."""
    how = "a regular expression" if kind == "regex" else "words"
    about = _ABOUT.format(how=how, count=len(tools))
    if spaces := dict.fromkeys(tool.namespace for tool in tools if tool.namespace):
        about += " They are of " + ", ".join(spaces) + "."
    properties = _PARAMETERS["regex" if kind == "regex" else "bm25"]
    return Tool(name, about, {"type": "object", "properties": properties, "required": ["query"]})


# -------------------------------------------------------------------------------------------------- the search


class Found(Struct, frozen=True):
    """given: the search's arguments. problem: why it could not be carried out, "" otherwise."""

    given: Raw
    tools: list[Tool]
    problem: str = ""


def search(search: ToolSearch, name: str, arguments: str) -> Found:
    """Returns what the model's call finds, best first."""
    try:
        given = wire.loads(arguments or "{}")
    except ValueError:
        return Found({"query": arguments}, [], "the arguments are not JSON")
    if not isinstance(given, dict):
        return Found({"query": str(given)}, [], "the arguments are no object")
    query = next((value for key in ("query", "pattern") if isinstance(value := given.get(key), str) and value), "")
    if not query.strip():
        return Found(given, [], "query is missing")
    if search.names[name] == "regex":
        try:
            pattern = Pattern(query)
        except BadPattern as why:
            return Found(given, [], str(why))
        return Found(given, [tool for tool in search.tools if pattern.search(_text(tool))][:MOST_FOUND])
    return Found(given, by_words(search.tools, query))


def by_words(tools: tuple[Tool, ...], query: str) -> list[Tool]:
    """Returns the tools that share a word with the query, best first; the order of declaration decides among equals."""
    documents = [Counter(words(_text(tool))) for tool in tools]
    lengths = [document.total() for document in documents]
    average = sum(lengths) / len(lengths) if lengths else 0.0
    scores = [0.0] * len(tools)
    for word in dict.fromkeys(words(query[:_TEXT_LIMIT])):
        having = sum(word in document for document in documents)
        rarity = math.log(1 + (len(tools) - having + 0.5) / (having + 0.5))
        for i, document in enumerate(documents):
            if count := document[word]:
                scores[i] += rarity * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * lengths[i] / average))
    best = sorted(range(len(tools)), key=lambda i: -scores[i])
    return [tools[i] for i in best[:MOST_FOUND] if scores[i] > 0]


def words(text: str) -> list[str]:
    """Returns the words in small letters, without the plural's s; get_pull_requests and getPullRequests are three."""
    found = _WORD.findall(_CAMEL.sub(" ", text).lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word for word in found]


def _text(tool: Tool) -> str:
    given = tool.schema.get("properties") if tool.schema else None
    properties = given if isinstance(given, dict) else {}
    lines = [tool.namespace, tool.name, *properties, tool.description]
    lines += [text_of(about, "description") for about in properties.values() if isinstance(about, dict)]
    return "\n".join(line for line in lines if line)[:_TEXT_LIMIT]


SearchReply = Callable[[ToolSearch, Found, str, str, int], list[Part]]
"""told(search, found, name, key, n): the search and its result as parts of the client's own protocol. key, n: what
their ids are made of."""

# --------------------------------------------------------------------------------------------------- histories


def is_call(part: Part) -> bool:
    """Tells whether it is a search that the provider, or the proxy, has carried out."""
    if not isinstance(part, Unknown):
        return False
    if part.kind == "server_tool_use":
        return MESSAGES_TYPE.fullmatch(str(part.raw.get("name"))) is not None
    return part.kind == "tool_search_call" and part.raw.get("execution") != "client"


def is_result(part: Part) -> bool:
    return isinstance(part, Unknown) and part.kind in ("tool_search_tool_result", "tool_search_output")


def names_in(raw: Raw) -> set[tuple[str, str]]:
    """Returns (namespace, name) of the tools that a result shows."""
    content = raw.get("content")
    if isinstance(content, dict):
        references = [each for each in list_of(content, "tool_references") if isinstance(each, dict)]
        return {("", str(each.get("tool_name"))) for each in references}
    found: set[tuple[str, str]] = set()
    for tool in list_of(raw, "tools"):
        if isinstance(tool, dict):
            inner = [each for each in list_of(tool, "tools") if isinstance(each, dict)]
            space = text_of(tool, "name") if tool.get("type") == "namespace" else ""
            found |= {(space, text_of(each, "name")) for each in (inner if space else [tool])}
    return found


def result(raw: Raw, id: str) -> ToolResult:
    """Returns a search's result, in words, as that of a function."""
    content = raw.get("content")
    if isinstance(content, dict) and content.get("type") == "tool_search_tool_result_error":
        why = text_of(content, "error_message") or text_of(content, "error_code")
        return ToolResult(id, [Text(f"The search failed: {why}")], is_error=True)
    names = sorted(repair.flat_name(space, name) for space, name in names_in(raw))
    return ToolResult(id, [Text(f"Tools now available: {', '.join(names)}." if names else NOTHING)])
