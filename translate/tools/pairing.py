"""Puts each tool result right behind its call, as other providers want it and clients' histories often do not have it.

The protocols allow more than an upstream takes: neighbouring turns of one role that count as one, results that are
split over several turns, results that come after further turns (asynchronous tools), ids that a server counts anew in
each reply. And clients compact, cut and merge: a call may have lost its result, or a result its call.

Here the results that come before the model's next turn go right behind their calls. A result that comes later stays
where it is, as text, and its call is said to be still running: so the beginning of a history does not change while it
grows, and the provider's prompt cache stays valid. A call without any result gets a result that says so. A result
without any call becomes text, since nothing that was said is dropped. The same history always comes out the same, in
time proportional to its length. This is used only when a request crosses protocols.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from translate.conversation import Part, Role, Text, ToolCall, ToolResult, Turn

LOST_RESULT = "[no result: the tool call was interrupted]"
NO_RESULT_YET = "[no result yet: the tool is still running]"

Item = TypeVar("Item")


class OpenCalls(Generic[Item]):
    """Calls that wait for their results, by a key that may occur again. A result belongs to the latest step with a call
    of its key, and there to the first such call. So parallel calls of one key are answered in their order, and a call
    that was interrupted long ago takes nothing away from a new one."""

    __slots__ = ("_by_key", "_step")

    def __init__(self) -> None:
        self._by_key: dict[Hashable, list[tuple[int, deque[Item]]]] = {}
        self._step = 0

    def __repr__(self) -> str:
        return f"<OpenCalls {len(self._by_key)} keys>"

    def step(self) -> None:
        """Begins another step of the model's: what is added from now on belongs to it."""
        self._step += 1

    def add(self, key: Hashable, item: Item) -> None:
        steps = self._by_key.setdefault(key, [])
        if not steps or steps[-1][0] != self._step:
            steps.append((self._step, deque()))
        steps[-1][1].append(item)

    def take(self, key: Hashable) -> Item | None:
        """Returns the call that a result of this key belongs to, which waits no more. None = no call waits."""
        if not (steps := self._by_key.get(key)):
            return None
        item = steps[-1][1].popleft()
        if not steps[-1][1]:
            steps.pop()
        return item

    def take_unnamed(self, key: Hashable, named: Container[Item]) -> Item | None:
        """The same of a result that does not say its call. named: calls that other results name, and so have."""
        while item := self.take(key):
            if item not in named:
                return item
        return None


class _Step(Struct, eq=False):
    """A turn of the model's and what follows it up to the next one: turns of the user's, and instructions. The first
    step of a history may have no turn. calls: by their ids. answers: their results, as far as there are any."""

    turn: Turn | None = None
    others: list[Turn] = field(default_factory=list)
    calls: dict[str, ToolCall] = field(default_factory=dict)
    answers: dict[str, ToolResult] = field(default_factory=dict)

    @property
    def results(self) -> list[ToolResult]:
        return [part for turn in self.others for part in turn.parts if isinstance(part, ToolResult)]


Shown = Callable[[ToolCall, int], str]
"""(a call, how many were before it) -> its id as the upstream's model reads it, "" where it reads none"""


def _own_id(call: ToolCall, before: int) -> str:
    return call.id


def paired(turns: list[Turn], shown: Shown = _own_id) -> list[Turn]:
    """Returns the same turns with each call answered in the user turn right after it, each result asked for right
    before it, and no id twice. Turns that need no change are the same objects. shown: what a text calls a call by."""
    if _are_paired(turns):
        return [turn for turn in turns if turn.parts]
    steps = _steps(_on_their_sides(turns))
    labels = _matched(steps, shown)
    out: list[Turn] = []
    for step in steps:
        if step.turn is not None:
            out.append(step.turn)
        out += _others(step, labels)
    return out


def _are_paired(turns: list[Turn]) -> bool:
    """Tells whether nothing need be done, as with nearly all conversations."""
    waiting: frozenset[str] = frozenset()
    seen: set[str] = set()
    for turn in turns:
        calls, results, plain = _tool_ids(turn)
        if not plain or (results != waiting and turn.parts) or not seen.isdisjoint(calls):
            return False
        if turn.parts:
            waiting = calls
            seen |= calls
    return not waiting


_SIDES: dict[type[Part], Role] = {ToolCall: "assistant", ToolResult: "user"}

ToolIds = tuple[frozenset[str], frozenset[str], bool]
"""Of a turn's calls, and of its results; and whether each is there once, where it belongs: calls with the model,
results at the beginning of the user's turn."""

_TOOLS = frozenset((ToolCall, ToolResult))
_NO_IDS: ToolIds = frozenset(), frozenset(), True


def _tool_ids(turn: Turn) -> ToolIds:
    if turn.known is None:
        return _read_tool_ids(turn)
    found: ToolIds | None = turn.known.get(_tool_ids)
    if found is None:
        found = turn.known[_tool_ids] = _read_tool_ids(turn)
    return found


def _read_tool_ids(turn: Turn) -> ToolIds:
    if _TOOLS.isdisjoint(map(type, turn.parts)):
        return _NO_IDS
    calls = [part.id for part in turn.parts if isinstance(part, ToolCall)]
    results = [part.id for part in turn.parts if isinstance(part, ToolResult)]
    if calls or results:
        ids = frozenset(calls), frozenset(results)
        plain = len(ids[0]) == len(calls) and len(ids[1]) == len(results)
        if turn.role == "user":
            plain = plain and not calls and all(isinstance(part, ToolResult) for part in turn.parts[: len(results)])
        else:
            plain = plain and not results and turn.role == "assistant"
        return *ids, plain
    return _NO_IDS


def _on_their_sides(turns: list[Turn]) -> Iterator[Turn]:
    """Yields the turns, cut so that calls are the model's and results the user's: Google's SDKs put what a function has
    returned into the model's content, beside its call, where they run it themselves."""
    for turn in turns:
        sides = [_SIDES.get(type(part), turn.role) for part in turn.parts]
        if all(side == turn.role for side in sides):
            yield turn
            continue
        parts = iter(turn.parts)
        for role, run in itertools.groupby(sides):
            own = list(itertools.islice(parts, len(list(run))))
            yield replace(turn, parts=own) if role == turn.role else Turn(role, own)


def _steps(turns: Iterable[Turn]) -> list[_Step]:
    """Returns the steps. Turns that say nothing are left out, so that they do not separate others. Neighbouring turns
    of the model become one if calls of the first would otherwise have to wait for their results."""
    steps = [_Step()]
    run: list[Turn] = []  # of the model's turns

    def close() -> None:
        if any(isinstance(part, ToolCall) for turn in run[:-1] for part in turn.parts):
            steps.append(_Step(_merged(run)))
        else:
            steps.extend(map(_Step, run))
        run.clear()

    for turn in turns:
        if turn.role == "assistant":
            if turn.parts:
                run.append(turn)
        elif turn.parts:
            close()
            steps[-1].others.append(turn)
    close()
    return steps


def _merged(run: list[Turn]) -> Turn:
    ext: dict[str, dict[str, object]] = {}
    for turn in run:
        for protocol, fields in turn.ext.items():
            ext.setdefault(protocol, {}).update(fields)
    return Turn("assistant", [part for turn in run for part in turn.parts], ext)


# ------------------------------------------------------------------------------------------------- who asked

Labels = dict[int, str]
"""The results that become text, by their objects' ids (two may be equal), with the text of each."""


def _matched(steps: list[_Step], shown: Shown) -> Labels:
    """Gives each call an id of its own and finds its result; the results that stay where they are get a label."""
    waiting: OpenCalls[tuple[_Step, ToolCall, int]] = OpenCalls()
    count = itertools.count()
    ids = _Ids()
    labels: Labels = {}
    early: list[ToolResult] = []  # their calls have not come yet
    for step in steps:
        waiting.step()
        for given, call in _numbered(step, ids):
            waiting.add(given, (step, call, next(count)))
            step.calls[call.id] = call
        for result in step.results:
            if (home := waiting.take(result.id)) is None:
                early.append(result)
                continue
            asked, call, before = home
            if asked is step:
                asked.answers[call.id] = _renamed(result, call.id)
            else:
                asked.answers[call.id] = ToolResult(call.id, [Text(NO_RESULT_YET)])
                known_by = ", ".join(filter(None, (shown(call, before), call.name)))
                labels[id(result)] = f"[result of the tool call {known_by}{_failed(result)}]"
    for result in early:
        if home := waiting.take(result.id):
            asked, call, _ = home
            asked.answers[call.id] = _renamed(result, call.id)
        else:
            labels[id(result)] = f"[result of an earlier tool call {result.id}{_failed(result)}]"
    return labels


def _renamed(result: ToolResult, id: str) -> ToolResult:
    return result if result.id == id else replace(result, id=id)


def _failed(result: ToolResult) -> str:
    return ": it failed" if result.is_error else ""


class _Ids:
    """Ids that were given out: providers want them unique in the whole history."""

    __slots__ = ("_count", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._count: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<_Ids {len(self._taken)} taken>"

    def new(self, given: str) -> str:
        sent = given
        while sent in self._taken:
            n = self._count[given] = self._count.get(given, 1) + 1
            sent = f"{given}_{n}"
        self._taken.add(sent)
        return sent


def _numbered(step: _Step, ids: _Ids) -> list[tuple[str, ToolCall]]:
    """Returns the step's calls, each beside its id as the client gave it; those whose id was taken are made anew."""
    if step.turn is None:
        return []
    found: list[tuple[str, ToolCall]] = []
    parts: list[Part] = []
    for part in step.turn.parts:
        if isinstance(part, ToolCall):
            given, sent = part.id, ids.new(part.id)
            part = part if sent == given else replace(part, id=sent)
            found.append((given, part))
        parts.append(part)
    if any(given != call.id for given, call in found):
        step.turn = replace(step.turn, parts=parts)
    return found


# ---------------------------------------------------------------------------------------------- who is answered


def _others(step: _Step, labels: Labels) -> list[Turn]:
    """Returns the turns after the model's: all of its results first, then what else they say."""
    results = _answers(step)
    if _in_place(step, results):
        return step.others
    rest = [_less_results(turn, labels) for turn in step.others]
    if rest and rest[0].role == "user":
        rest[0] = replace(rest[0], parts=results + rest[0].parts)
    else:
        rest.insert(0, Turn("user", results))
    return [turn for turn in rest if turn.parts]


def _answers(step: _Step) -> list[Part]:
    """Returns the results in the order in which they came, then one for each call that has none."""
    return [*step.answers.values(), *(_none(call) for id, call in step.calls.items() if id not in step.answers)]


def _none(call: ToolCall) -> ToolResult:
    if call.runs_on:
        return ToolResult(call.id, [Text(NO_RESULT_YET)])
    return ToolResult(call.id, [Text(LOST_RESULT)], is_error=True)


def _in_place(step: _Step, results: list[Part]) -> bool:
    """Tells whether the first turn begins with just these results, and no turn has any other."""
    first = step.others[0].parts[: len(results)] if step.others and step.others[0].role == "user" else []
    if len(first) != len(results) or any(new is not old for new, old in zip(results, first, strict=True)):
        return False
    return len(step.results) == len(results)


def _less_results(turn: Turn, labels: Labels) -> Turn:
    """Returns the turn without the results that stand with their calls; other results stand in words."""
    if not any(isinstance(part, ToolResult) for part in turn.parts):
        return turn
    parts: list[Part] = []
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            parts.append(part)
        elif label := labels.get(id(part)):
            parts += [Text(label, part.ext), *part.parts]
    return replace(turn, parts=parts)
