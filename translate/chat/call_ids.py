"""Ids of tool calls in the form that a model's server demands, or that the model was taught.

Mistral's answer 400 to an id that is not nine letters and digits (see mistral.py). Kimi's templates show the model its
ids: `functions.NAME:N`, counted through the conversation. Where they are others, it writes its calls as text, or ends
its turn without a word. Calls of other models have neither form. Kimi's form is lost at a client of Anthropic's
protocol, which allows fewer characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from msgspec.structs import replace

from translate import repair
from translate.chat import mistral
from translate.conversation import Part, ToolCall, ToolResult, Turn
from translate.encode_context import Draft

MAX_ID = 40  # OpenAI refuses a longer tool_call_id
_WITH_ID = (ToolCall, ToolResult)
_KIMI = re.compile(r"\bkimi", re.I)

Form = Callable[[str, str, int], str]
"""(the id as given, the tool's name, how many calls were before it) -> the id as sent"""


def fitted(turns: list[Turn], draft: Draft) -> list[Turn]:
    """Returns the turns with the ids that the model knows. Turns that need no change are the same objects."""
    form = _form_of(draft.target.model)
    if form is None:
        return turns
    calls = [part for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    ids = {call.id: form(call.id, draft.name(call.name), before) for before, call in enumerate(calls)}
    changed = {given: id for given, id in ids.items() if given != id}
    return [_renamed(turn, changed) for turn in turns] if changed else turns


def shown(draft: Draft) -> Callable[[ToolCall, int], str]:
    """Returns what tells the id by which the model knows a call, before which there were so many others."""
    form = _form_of(draft.target.model)
    if form is None:
        return lambda call, before: sent(call.id, draft)
    return lambda call, before: form(call.id, draft.name(call.name), before)


def sent(id: str, draft: Draft) -> str:
    """Returns the id of a turn that was fitted, as OpenAI takes it where the model has no form of its own."""
    if len(id) <= MAX_ID or _form_of(draft.target.model) is not None:
        return id
    return repair.tool_id(id, MAX_ID)


def _renamed(turn: Turn, changed: dict[str, str]) -> Turn:
    """Returns the turn with its new ids. That of a turn from memory is kept with it, so that what is written of it is
    kept, too: only the latest, since a turn has other ids once it stands elsewhere."""
    given = [part.id for part in turn.parts if isinstance(part, _WITH_ID)]
    ids = [changed.get(id, id) for id in given]
    if ids == given:
        return turn
    if turn.known is None:
        return _with_ids(turn, changed)
    before: tuple[list[str], Turn] | None = turn.known.get(_renamed)
    if before is not None and before[0] == ids:
        return before[1]
    renamed = _with_ids(turn, changed)
    renamed.known = {}
    turn.known[_renamed] = ids, renamed
    return renamed


def _with_ids(turn: Turn, changed: dict[str, str]) -> Turn:
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, _WITH_ID) and part.id in changed:
            part = replace(part, id=changed[part.id])
        parts.append(part)
    return replace(turn, parts=parts)


@lru_cache(1_000)
def _form_of(model: str) -> Form | None:
    if mistral.is_model(model):
        return _nine
    return _counted if _KIMI.search(model) else None


def _nine(id: str, name: str, before: int) -> str:
    return mistral.call_id(id)


def _counted(id: str, name: str, before: int) -> str:
    return f"functions.{name}:{before}"
