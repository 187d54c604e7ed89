"""What the official SDKs can say in a request, listed from their own parameter types, with a smallest value for each.

`said(protocol)` gives every name that the ledger must have a row for ("top_k", "role:system", "block:image",
"item:reasoning", "tool:web_search") and the declaration behind it; `smallest(declaration)` makes the least value that
fits it: the required keys only, the first of each choice. Anthropic's beta types are taken along, they know more.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typing_extensions as te
from anthropic.types.beta.message_create_params import MessageCreateParams as BetaMessageCreateParams
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.beta.response_create_params import ResponseCreateParams as BetaResponseCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams

from tests.support.params import SAMPLING

REQUESTS = {
    "messages": (MessageCreateParams, BetaMessageCreateParams),
    "chat": (CompletionCreateParams,),
    "responses": (ResponseCreateParams, BetaResponseCreateParams),
}
HISTORY = {"messages": "messages", "chat": "messages", "responses": "input"}
NOT_IN_THE_BODY = {"betas"}  # the SDK sends it as a header
NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}  # what every dialect takes
_CALLS = "tool_calls"  # Chat keeps them beside the content


def members(declared: Any) -> Iterator[Any]:
    """The members of a union, of whatever is around it."""
    origin = get_origin(declared)
    if origin in (te.Required, te.NotRequired, te.ReadOnly, Annotated):
        yield from members(get_args(declared)[0])
    elif origin in (Union, types.UnionType):
        for each in get_args(declared):
            yield from members(each)
    else:
        yield declared


def hints(declared: Any) -> dict[str, Any]:
    return te.get_type_hints(declared, include_extras=True)


def said(protocol: str) -> dict[str, Any]:
    """Name -> its declaration; that of a field is the field's type, that of all else a TypedDict."""
    found: dict[str, Any] = {}
    for request in REQUESTS[protocol]:
        for one in members(request):
            found |= {name: kind for name, kind in hints(one).items() if name not in NOT_IN_THE_BODY}
    if protocol == "messages":
        found |= dict.fromkeys(sorted(SAMPLING), float) | {"top_k": int}
    for request in REQUESTS[protocol]:
        fields: dict[str, Any] = {}
        for one in members(request):
            fields |= hints(one)
        for one in items(fields["tools"]):
            found |= {f"tool:{kind}": one for kind in literals(one, "type")}
        for one in items(fields[HISTORY[protocol]]):
            _of_history(one, protocol, found)
    return found


def _of_history(one: Any, protocol: str, found: dict[str, Any]) -> None:
    """A message with its content; of Responses, an item."""
    keys = hints(one)
    if protocol == "responses" and "message" not in (kinds := literals(one, "type")) and kinds:
        found |= {f"item:{kind}": one for kind in kinds}
    elif "content" in keys or "role" in keys:
        found |= {f"role:{role}": one for role in literals(one, "role")}
        _blocks(keys.get("content"), found)
    else:
        found |= {f"item:{kind}": one for kind in literals(one, "type")}
    if _CALLS in keys:
        found |= {f"call:{kind}": call for call in items(keys[_CALLS]) for kind in literals(call, "type")}


def _blocks(content: Any, found: dict[str, Any]) -> None:
    for block in items(content):
        for kind in literals(block, "type"):
            if f"block:{kind}" in found:
                continue
            found[f"block:{kind}"] = block
            if kind == "tool_result":
                _blocks(hints(block)["content"], found)


def items(declared: Any) -> Iterator[Any]:
    """The TypedDicts that a field's list may hold."""
    for one in members(declared):
        origin = get_origin(one)
        if te.is_typeddict(one):
            continue
        if origin is not None and isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
            for arg in get_args(one):
                yield from (each for each in members(arg) if te.is_typeddict(each))


def literals(declared: Any, key: str) -> list[str]:
    kinds = members(hints(declared)[key]) if key in hints(declared) else ()
    return [word for kind in kinds if get_origin(kind) in (Literal, te.Literal) for word in get_args(kind)]


def smallest(declared: Any, **given: Any) -> Any:
    """A least value of the declared type. given: keys of the outermost object that must have these values."""
    first = next(members(declared))
    origin = get_origin(first)
    if te.is_typeddict(first):
        keys = hints(first)
        wanted = {key for key, kind in keys.items() if key in _required(first, keys)}
        schemas = {"parameters": NO_ARGUMENTS} if "parameters" in wanted else {}
        return {key: smallest(kind) for key, kind in keys.items() if key in wanted} | schemas | given
    if origin in (Literal, te.Literal):
        return get_args(first)[0]
    if first in (bool, int, float, str):
        return {bool: True, int: 1, float: 0.5, str: "x"}[first]
    if first in (object, Any) or first is dict or origin in (dict, collections.abc.Mapping):
        return {"x": "x"} if origin is not None else {}
    if origin is not None and get_args(first):
        return [smallest(get_args(first)[0])]
    raise NotImplementedError(f"a declaration of unknown kind: {first!r}")


def _required(declared: Any, keys: dict[str, Any]) -> set[str]:
    """As params.py: the SDKs' annotations are strings, in which __required_keys__ does not see Required[...]."""
    kinds = {key: get_origin(hint) for key, hint in keys.items()}
    by_class = {key for key in declared.__required_keys__ if kinds[key] is not te.NotRequired}
    return by_class | {key for key, kind in kinds.items() if kind is te.Required}
