"""Request bodies against the official SDKs' own parameter types, strictly.

The SDKs declare parameters as TypedDicts and check nothing at run time. `problems(body, MessageCreateParams)`
walks those declarations: required keys, types (an int is no bool, a str no int), literals, unions, and keys
that are not declared, which the real services answer with a 400. pydantic would do most of it, but it leaves
an Iterable unread and lets unknown keys of a TypedDict pass. Each problem names its path.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typing_extensions as te
from anthropic.types.beta.message_create_params import MessageCreateParams as BetaMessageCreateParams
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams

SAMPLING = frozenset({"temperature", "top_p", "top_k"})
"""Left out of the newest anthropic SDK's types, yet taken by the service under `2023-06-01`."""


def check_messages(body: dict[str, Any], beta: bool = False) -> list[str]:
    """Problems of a Messages request body; beta: by the beta types, which know more fields and blocks."""
    kept = {key: value for key, value in body.items() if key not in SAMPLING}
    return problems(kept, BetaMessageCreateParams if beta else MessageCreateParams)


def check_chat(body: dict[str, Any]) -> list[str]:
    """Problems of a Chat Completions request body."""
    return problems(body, CompletionCreateParams)


def check_responses(body: dict[str, Any]) -> list[str]:
    """Problems of a Responses request body."""
    return problems(body, ResponseCreateParams)


CHECKS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "messages": lambda body: check_messages(body, beta=True),
    "chat": check_chat,
    "responses": check_responses,
}


def valid(protocol: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body without the fields, and without the entries of its lists, that the protocol's own types do not know."""
    wrong: dict[str, set[int]] = {}
    for problem in CHECKS[protocol](body):
        field, _, rest = problem.partition(":")[0].partition(".")
        index = rest.partition(".")[0]
        wrong.setdefault(field, set()).add(int(index) if index.isdecimal() else -1)
    out = {}
    for field, value in body.items():
        bad = wrong.get(field, set())
        if isinstance(value, list) and field in ("messages", "input", "tools"):
            out[field] = [item for i, item in enumerate(value) if i not in bad]
        elif not bad:
            out[field] = value
    return out


def problems(value: Any, declared: Any, path: str = "") -> list[str]:
    """What is wrong with `value` by the type `declared`; [] when nothing is."""
    origin = get_origin(declared)
    if origin in (te.Required, te.NotRequired, te.ReadOnly, Annotated):
        return problems(value, get_args(declared)[0], path)
    if origin in (Union, types.UnionType):
        return _union(value, get_args(declared), path)
    if origin in (Literal, te.Literal):
        return [] if any(value is a or value == a for a in get_args(declared)) else _not(value, declared, path)
    if te.is_typeddict(declared):
        return _typed_dict(value, declared, path)
    if declared is None or declared is type(None):
        return [] if value is None else _not(value, "null", path)
    if declared in (object, Any) or isinstance(declared, TypeVar):
        return []
    if declared is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        return [] if good else _not(value, "a number", path)
    if declared in (str, int, bool):
        return [] if type(value) is declared else _not(value, declared.__name__, path)
    if isinstance(declared, type) and declared is dict or origin in (dict, collections.abc.Mapping):
        return _mapping(value, get_args(declared), path)
    if origin is not None and issubclass(origin, collections.abc.Iterable) or _is_sequence(declared):
        return _list(value, get_args(declared), path)
    if isinstance(declared, type):
        return _not(value, declared.__name__, path)  # a file, a model: not JSON
    raise NotImplementedError(f"{path}: a declaration of unknown kind: {declared!r}")


def _is_sequence(declared: Any) -> bool:
    return getattr(get_origin(declared) or declared, "__name__", "") == "SequenceNotStr"


def _not(value: Any, declared: Any, path: str) -> list[str]:
    said = declared if isinstance(declared, str) else str(declared).replace("typing_extensions.", "")
    return [f"{path or 'body'}: {str(value)[:60]!r} is not {said[:120]}"]


def _list(value: Any, args: tuple[Any, ...], path: str) -> list[str]:
    if not isinstance(value, list):
        return _not(value, "a list", path)
    item = args[0] if args else Any
    return [p for i, v in enumerate(value) for p in problems(v, item, f"{path}.{i}")]


def _mapping(value: Any, args: tuple[Any, ...], path: str) -> list[str]:
    if not isinstance(value, dict):
        return _not(value, "an object", path)
    item = args[1] if len(args) == 2 else Any
    return [p for k, v in value.items() for p in problems(v, item, f"{path}.{k}")]


def _union(value: Any, members: tuple[Any, ...], path: str) -> list[str]:
    """No problem where one member has none; else those of the member that came nearest: of the right kind,
    its literals (type, role) fitting, the one that complains least."""
    best: tuple[bool, bool, int] | None = None
    found: list[str] = []
    for member in members:
        these = problems(value, member, path)
        if not these:
            return []
        other_kind = any(p.startswith(f"{path or 'body'}: ") for p in these)
        misfit = te.is_typeddict(member) and isinstance(value, dict) and not _literals_fit(value, member)
        if best is None or (other_kind, misfit, len(these)) < best:
            best, found = (other_kind, misfit, len(these)), these
    return found


def _literals_fit(value: dict[str, Any], declared: Any) -> bool:
    for key in ("type", "role"):
        want = _hints(declared).get(key)
        if want is not None and key in value and problems(value[key], want):
            return False
    return True


@cache
def _hints(declared: Any) -> dict[str, Any]:
    return te.get_type_hints(declared, include_extras=True)


@cache
def _required(declared: Any) -> list[str]:
    """__required_keys__ does not see Required[...] where annotations are strings: the hints do."""
    kinds = {key: get_origin(hint) for key, hint in _hints(declared).items()}
    by_class = {key for key in declared.__required_keys__ if kinds[key] is not te.NotRequired}
    return sorted(by_class | {key for key, kind in kinds.items() if kind is te.Required})


def _typed_dict(value: Any, declared: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return _not(value, f"an object ({declared.__name__})", path)
    hints = _hints(declared)
    dot = f"{path}." if path else ""
    out = [f"{dot}{key}: missing" for key in _required(declared) if key not in value]
    for key, item in value.items():
        if key not in hints:
            out.append(f"{dot}{key}: not a field of {declared.__name__}")
        else:
            out += problems(item, hints[key], f"{dot}{key}")
    return out
