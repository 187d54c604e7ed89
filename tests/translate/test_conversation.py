"""The neutral form's own rules: what makes two parts equal, and what a changed copy keeps."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from translate.conversation import Conversation, Text, Tool, Turn, Usage


@pytest.mark.parametrize(
    ("one", "alike", "other"),
    [
        (Text("a"), Text("a", apart=True), Text("b")),
        (Tool("t"), Tool("t", purpose="web_search", declared_deferred=True), Tool("t", deferred=True)),
        (Usage(input=1), Usage(input=1, total=9, aside=Usage(output=2)), Usage(input=2)),
        (Conversation("m", []), Conversation("m", [], one_call=True, free_text=False), Conversation("m", [], user="u")),
    ],
)
def test_what_only_tells_about_a_thing_makes_no_other_thing(one: object, alike: object, other: object) -> None:
    assert (one == alike, one != alike) == (True, False)
    assert (one == other, one != other) == (False, True)


@pytest.mark.parametrize("thing", [Turn("user", []), Tool("t")])
def test_a_copy_that_is_changed_knows_nothing(thing: Turn | Tool) -> None:
    thing.known = {"made": 1}
    copy = replace(thing, ext={"chat": {}})
    assert (copy.known, thing.known) == (None, {"made": 1})
