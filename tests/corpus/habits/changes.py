"""What mutations are made of: small functions that make a change to a stream, or to a whole reply.

A stream is a list of (event name, data). A change may alter what it is given: it is given a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Event = tuple[str, Any]
Change = Callable[[list[Event]], list[Event]]
GONE = object()


def each(change: Callable[[Json], object], *kinds: str) -> Change:
    """Makes a change to the data of every event, or of those of these kinds."""

    def made(events: list[Event]) -> list[Event]:
        for name, data in events:
            if isinstance(data, dict) and (not kinds or kind_of(name, data) in kinds):
                change(data)
        return events

    return made


def kind_of(name: str, data: Any) -> str:
    return str(data.get("type") or name) if isinstance(data, dict) else ""


def at(way: str, value: Any, *kinds: str) -> Change:
    """Puts a value, or what a function makes of the old one, at each place that a path leads to; "*" is each item of a
    list. GONE takes it away."""
    return each(lambda data: put(data, way.split("."), value), *kinds)


def put(inside: Any, way: list[str], value: Any) -> None:
    key, *rest = way
    for holder in inside if key == "*" and isinstance(inside, list) else ():
        put(holder, rest, value)
    if not isinstance(inside, dict) or key not in inside:
        return
    if rest == ["*"] and isinstance(inside[key], list):
        inside[key] = [value(each) if callable(value) else value for each in inside[key]]
    elif rest:
        put(inside[key], rest, value)
    elif value is GONE:
        del inside[key]
    else:
        inside[key] = value(inside[key]) if callable(value) else value


def also(way: str, *kinds: str, **more: Any) -> Change:
    """Adds fields to each object that a path leads to; "" is the event itself."""

    def change(data: Json) -> None:
        for found in found_at(data, [key for key in way.split(".") if key]):
            if isinstance(found, dict):
                found |= more

    return each(change, *kinds)


def found_at(inside: Any, way: list[str]) -> Iterator[Any]:
    if not way:
        yield inside
    elif way[0] == "*":
        for one in inside if isinstance(inside, list) else ():
            yield from found_at(one, way[1:])
    elif isinstance(inside, dict) and way[0] in inside:
        yield from found_at(inside[way[0]], way[1:])


def leave_out(*kinds: str) -> Change:
    return lambda events: [(name, data) for name, data in events if kind_of(name, data) not in kinds]


def twice(*kinds: str) -> Change:
    return lambda events: [e for e in events for _ in range(1 + (kind_of(*e) in kinds))]


def before_each(name: str, data: Any) -> Change:
    return lambda events: [each for event in events for each in ((name, data), event)]


def first(name: str, data: Any) -> Change:
    return lambda events: [(name, data), *events]


def last(name: str, data: Any) -> Change:
    return lambda events: [*events, (name, data)]


def after_second(name: str, data: Any) -> Change:
    return lambda events: [*events[:2], (name, data), *events[2:]]


def nameless(events: list[Event]) -> list[Event]:
    return [("", data) for _, data in events]


def typeless(events: list[Event]) -> list[Event]:
    """The event's name alone says what it is."""
    for _, data in events:
        if isinstance(data, dict):
            data.pop("type", None)
    return events


def both(*changes: Change) -> Change:
    def made(events: list[Event]) -> list[Event]:
        for change in changes:
            events = change(events)
        return events

    return made


def backwards(inside: Any) -> Any:
    """The same value, with the fields of all its objects in the other order."""
    if isinstance(inside, dict):
        return {key: backwards(inside[key]) for key in reversed(inside)}
    return [backwards(one) for one in inside] if isinstance(inside, list) else inside


def numbered_as_text(*names: str) -> Change:
    """All numbers under these names, at any depth, as texts."""
    return each(lambda data: _retype(data, names, str))


def numbered_as_floats(*names: str) -> Change:
    return each(lambda data: _retype(data, names, float))


def _retype(inside: Any, names: tuple[str, ...], kind: Callable[[Any], Any]) -> None:
    if isinstance(inside, dict):
        for key, value in inside.items():
            if key in names and type(value) is int:
                inside[key] = kind(value)
            else:
                _retype(value, names, kind)
    for one in inside if isinstance(inside, list) else ():
        _retype(one, names, kind)
