"""The search of the web that a provider runs itself: Messages' web_search and Responses' web_search, each read and
written.

A tool's declaration is read out of any protocol's words and written in another's; what could not be said is named. A
call and its result are two blocks at Anthropic and one item at OpenAI. The pages themselves come as ciphers that only
their provider reads: a mark of ours stands in their place (see sealed_reasoning.py) and is never shown to another
provider. Chat has no such tool that all its servers know. The model's name, or the upstream's policy, tells who
searches.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from translate.conversation import Conversation, Tool
from translate.json.json_fields import Body
from translate.target import Protocol, Target

NAME = "web_search"
SOURCES = "web_search_call.action.sources"  # to be asked for in a Responses request's include
MARK = "~sealed.search.1."  # stands where Anthropic would have a cipher

_KNOWN = frozenset({
    "type", "name", "allowed_domains", "blocked_domains", "excluded_domains", "max_uses", "user_location", "filters",
    "search_context_size", "external_web_access", "defer_loading", "strict", "parameters", "excludeDomains",
    "web_search_options",
})  # fmt: skip
_SETTLED: dict[str, Any] = {
    "search_context_size": "medium",
    "allowed_callers": ["direct"],
    "response_inclusion": "full",
}
_FILTERS = ("allowed_domains", "blocked_domains", "excluded_domains")
_PLACE = ("city", "region", "country", "timezone")


class WebSearch(Struct):
    """A declaration in no protocol's words. word: what the client calls it. other: fields that only it knows."""

    word: str
    allowed: list[Any]
    blocked: list[Any]
    place: Body
    size: str = ""
    uses: int | None = None
    live: bool = True
    other: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------- the tool


def word(tool: Tool) -> str:
    """Returns the client's name for a tool that the provider runs; the report of what was left out uses it."""
    kind = str(tool.raw.get("type"))
    return kind if kind == "web_search_options" else f"tools.{kind}"


def is_search(tool: Tool) -> bool:
    return tool.purpose == "web_search"


class Searchers(Struct, frozen=True):
    """Which models of a protocol's upstreams search the web themselves, by their names."""

    protocol: Protocol
    models: re.Pattern[str]


def has(conversation: Conversation, target: Target, by: Searchers) -> bool:
    """Tells whether the conversation offers a search of another protocol that the target's models are offered in their
    own."""
    return any(may_cross(tool, target, by) for tool in conversation.tools)


def may_cross(tool: Tool, target: Target, by: Searchers) -> bool:
    """Tells whether the search may be offered. A search without the live web cannot be offered, since the other side
    cannot promise that; neither can one that is still hidden."""
    if tool.protocol == by.protocol or tool.deferred or not is_search(tool) or not _searches(target, by):
        return False
    return _read(tool).live


def _searches(target: Target, by: Searchers) -> bool:
    """Tells whether the target's models search."""
    if target.policy.web_search != "auto":
        return target.policy.web_search == "true"
    return by.models.search(target.model) is not None


def _read(tool: Tool) -> WebSearch:
    raw = tool.raw
    for key in ("parameters", "web_search_options"):  # OpenRouter's, Chat's
        if isinstance(inner := raw.get(key), dict):
            raw = raw | inner
    filters = given if isinstance(given := raw.get("filters"), dict) else {}
    allowed = raw.get("allowed_domains") or filters.get("allowed_domains")
    blocked = raw.get("blocked_domains") or raw.get("excluded_domains") or raw.get("excludeDomains")
    blocked = blocked or filters.get("blocked_domains") or filters.get("excluded_domains")
    place = where if isinstance(where := raw.get("user_location"), dict) else {}
    if isinstance(place.get("approximate"), dict):  # Chat's
        place = place | place["approximate"]
    size, uses = raw.get("search_context_size"), raw.get("max_uses")
    return WebSearch(
        word(tool),
        allowed if isinstance(allowed, list) else [],
        blocked if isinstance(blocked, list) else [],
        {key: place[key] for key in _PLACE if place.get(key)},
        size if isinstance(size, str) else "",
        uses if isinstance(uses, int) else None,
        raw.get("external_web_access") is not False,
        [
            *(key for key, value in raw.items() if key not in _KNOWN and value not in (None, _SETTLED.get(key))),
            *(f"filters.{key}" for key in filters if key not in _FILTERS),
            *(f"user_location.{key}" for key in place if key not in (*_PLACE, "type", "approximate")),
        ],
    )


def for_messages(tool: Tool) -> tuple[Body, list[str]]:
    """Returns the declaration for Anthropic, and what it leaves behind. The version is the one that every model
    takes."""
    said = _read(tool)
    out: Body = {"type": "web_search_20250305", "name": NAME}
    left = list(said.other)
    if said.allowed:
        out["allowed_domains"] = said.allowed
        left += ["blocked_domains"] if said.blocked else []  # Anthropic takes only one of the two
    elif said.blocked:
        out["blocked_domains"] = said.blocked
    if said.uses:
        out["max_uses"] = said.uses
    if said.place:
        out["user_location"] = {"type": "approximate"} | said.place
    if said.size not in ("", _SETTLED["search_context_size"]):
        left.append("search_context_size")
    return out, [_inside(said, key) for key in left]


def for_responses(tool: Tool) -> tuple[Body, list[str]]:
    """Returns the declaration for a Responses upstream, and what it leaves behind."""
    said = _read(tool)
    out: Body = {"type": NAME}
    left = list(said.other)
    if said.allowed:
        out["filters"] = {"allowed_domains": said.allowed}
    if said.blocked:
        left.append("blocked_domains")
    if said.uses:
        left.append("max_uses")
    if said.place:
        out["user_location"] = {"type": "approximate"} | said.place
    if said.size:
        out["search_context_size"] = said.size
    return out, [_inside(said, key) for key in left]


def left_by_google(tool: Tool) -> list[str]:
    """Returns what Google's search leaves behind: it has no fields for it."""
    said = _read(tool)
    given = {
        "allowed_domains": said.allowed, "blocked_domains": said.blocked, "user_location": said.place,
        "max_uses": said.uses,
    }  # fmt: skip
    left = [*said.other, *(key for key, value in given.items() if value)]
    left += ["search_context_size"] if said.size not in ("", _SETTLED["search_context_size"]) else []
    return [_inside(said, key) for key in left]


def _inside(said: WebSearch, key: str) -> str:
    return key if key == "cache_control" else f"{said.word}.{key}"


# ------------------------------------------------------------------------------------------ calls and results


def is_call(raw: Body) -> bool:
    """Tells whether it is Anthropic's call of a search."""
    return raw.get("type") == "server_tool_use" and raw.get("name") == NAME


def is_of_search(raw: Body) -> bool:
    """Tells whether the part is a provider's search, or its result."""
    return raw.get("type") in ("web_search_call", "web_search_tool_result") or is_call(raw)


def item(raw: Body, result: Body | None, id: str = "") -> Body:
    """Returns Anthropic's call, and its result where there is one, as a web_search_call."""
    given = raw.get("input")
    query = str(given.get("query") or "") if isinstance(given, dict) else ""
    action: Body = {"type": "search", "query": query, "queries": [query]}
    found = result.get("content") if result is not None else None
    if isinstance(found, list):
        action["sources"] = [{"type": "url", "url": url} for url in _urls(found)]
    failed = isinstance(found, dict)
    out = {"type": "web_search_call", "status": "failed" if failed else "completed", "action": action}
    return {"id": id} | out if id else out


def blocks(raw: Body, id: str) -> list[Body]:
    """Returns a web_search_call that searched, as Anthropic's call and result; none for what else it may have done."""
    action = raw.get("action")
    if raw.get("type") != "web_search_call" or not isinstance(action, dict) or action.get("type", "search") != "search":
        return []
    queries = action.get("queries")
    first = queries[0] if isinstance(queries, list) and queries else ""
    query = str(action.get("query") or first or "")
    content: Any = [_page(url) for url in _urls(action.get("sources"))]
    if raw.get("status") == "failed":
        content = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    return [
        {"type": "server_tool_use", "id": id, "name": NAME, "input": {"query": query}},
        {"type": "web_search_tool_result", "tool_use_id": id, "content": content},
    ]


def queries(raw: Body) -> list[str]:
    """Returns what a search that a provider has run was for; [] for anything else."""
    action = raw.get("action") if raw.get("type") == "web_search_call" else raw.get("input") if is_call(raw) else None
    if not isinstance(action, dict):
        return []
    asked = action.get("queries") if isinstance(action.get("queries"), list) else [action.get("query")]
    return [query for query in asked or () if isinstance(query, str) and query]


def _urls(given: Any) -> Iterator[str]:
    for source in given if isinstance(given, list) else []:
        if isinstance(source, dict) and isinstance(url := source.get("url"), str):
            yield url


def _page(url: str) -> Body:
    """Returns a result. OpenAI gives the addresses of its sources alone."""
    return {"type": "web_search_result", "url": url, "title": url, "encrypted_content": MARK, "page_age": None}


def unmarked(content: list[Any]) -> list[Any]:
    """Returns the content blocks of a message without what stands under our mark, which Anthropic would refuse: results
    of another provider's search, the calls that led to them, citations. The same list where there is none."""
    gone = {block["tool_use_id"] for block in content if _is_marked_result(block)}
    out = []
    for block in content:
        if isinstance(block, dict) and (str(block.get("tool_use_id")) in gone or str(block.get("id")) in gone):
            continue
        cited = block.get("citations") if isinstance(block, dict) else None
        if isinstance(cited, list) and any(map(_is_marked_citation, cited)):
            kept = [citation for citation in cited if not _is_marked_citation(citation)]
            block = {key: value for key, value in block.items() if key != "citations"}
            block |= {"citations": kept} if kept else {}
        out.append(block)
    return content if len(out) == len(content) and all(map(operator.is_, out, content)) else out


def _is_marked_result(block: Any) -> bool:
    if not isinstance(block, dict) or not isinstance(block.get("tool_use_id"), str):
        return False
    pages = block.get("content")
    return isinstance(pages, list) and any(
        isinstance(page, dict) and page.get("encrypted_content") == MARK for page in pages
    )


def _is_marked_citation(citation: Any) -> bool:
    return isinstance(citation, dict) and citation.get("encrypted_index") == MARK
