"""Messages streams -> events, block by block: each case is run whole, byte by byte, and split at random."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.material import decode, delta, ended, opened, sse, start, stopped, text
from tests.translate.messages.reading import HI, parts, read, stop_of
from translate.conversation import Delta, Open, Start, Text, Thinking, ToolCall, Unknown, Usage
from translate.messages.decode_stream import Decoder

BLOCKS: dict[str, tuple[list[dict[str, Any]], list[tuple[Any, ...]]]] = {
    "text": (
        [opened(0, type="text", text=""), *text(0, "Hi", ' "there"\n', "é😀\\"), stopped(0)],
        [(Text(""), 'Hi "there"\né😀\\', "", {})],
    ),
    "text at the start": (
        [opened(0, type="text", text="Hi"), *text(0, "!"), stopped(0)],
        [(Text(""), "Hi!", "", {})],
    ),
    "empty text opens nothing": (
        [opened(0, type="text", text=""), *text(0, "", ""), stopped(0), opened(1, type="text", text=""), stopped(1)],
        [],
    ),
    "citations": (
        [
            opened(0, type="text", text="", citations=[]),
            *text(0, "It is."),
            delta(0, type="citations_delta", citation={"cited_text": "a"}),
            delta(0, type="citations_delta", citation={"cited_text": "b"}),
            stopped(0),
        ],
        [(Text(""), "It is.", "", {}, [{"cited_text": "a"}, {"cited_text": "b"}])],
    ),
    "thinking": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Let me", estimated_tokens=3),
            delta(0, type="thinking_delta", thinking=" see"),
            delta(0, type="signature_delta", signature="sig=="),
            stopped(0),
            *[opened(1, type="text", text=""), *text(1, "42"), stopped(1)],
        ],
        [(Thinking(), "Let me see", "sig==", {}), (Text(""), "42", "", {})],
    ),
    "thinking with a signature only": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking=""),
            delta(0, type="signature_delta", signature="s"),
            stopped(0),
        ],
        [(Thinking(), "", "s", {})],
    ),
    "redacted thinking": (
        [opened(0, type="redacted_thinking", data="xyz"), stopped(0)],
        [(Thinking(encrypted="xyz"), "", "", {})],
    ),
    "tool use": (
        [
            opened(0, type="tool_use", id="toolu_1", name="get", input={}),
            delta(0, type="input_json_delta", partial_json=""),
            delta(0, type="input_json_delta", partial_json='{"city": "Par'),
            delta(0, type="input_json_delta", partial_json='is"}'),
            stopped(0),
        ],
        [(ToolCall("toolu_1", "get"), '{"city": "Paris"}', "", {})],
    ),
    "tool use without any delta": (
        [opened(0, type="tool_use", id="toolu_1", name="get", input={}), stopped(0)],
        [(ToolCall("toolu_1", "get"), "", "", {})],
    ),
    "tool input at the start": (
        [opened(0, type="tool_use", id="t", name="get", input={"a": 1}, caller={"type": "direct"}), stopped(0)],
        [(ToolCall("t", "get", "", {"messages": {"caller": {"type": "direct"}}}), '{"a":1}', "", {})],
    ),
    "tool input at the start and by deltas": (
        [
            opened(0, type="tool_use", id="t", name="get", input={"a": 1}),
            delta(0, type="input_json_delta", partial_json='{"a":2}'),
            stopped(0),
        ],
        [(ToolCall("t", "get"), '{"a":2}', "", {})],
    ),
    "tool input as a string": (
        [opened(0, type="tool_use", id="t", name="get", input='{"a":1}'), stopped(0)],
        [(ToolCall("t", "get"), '{"a":1}', "", {})],
    ),
    "server tool": (
        [
            opened(0, type="server_tool_use", id="s", name="web_search", input={}),
            delta(0, type="input_json_delta", partial_json='{"query":'),
            delta(0, type="input_json_delta", partial_json='"x"}'),
            stopped(0),
            opened(1, type="web_search_tool_result", tool_use_id="s", content=[{"url": "u"}]),
            stopped(1),
        ],
        [
            (
                Unknown(
                    "messages", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
                ),
                *("", "", {}),
            ),
            (
                Unknown("messages", {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}),
                *("", "", {}),
            ),
        ],
    ),
    "compaction": (
        [
            opened(0, type="compaction", content=None),
            delta(0, type="compaction_delta", content="So far", encrypted_content=None),
            delta(0, type="compaction_delta", content=": all."),
            stopped(0),
        ],
        [(Unknown("messages", {"type": "compaction", "content": "So far: all."}), "", "", {})],
    ),
    "a block of tomorrow": (
        [opened(0, type="hologram", x=1), delta(0, type="hologram_delta", y=[2]), stopped(0)],
        [(Unknown("messages", {"type": "hologram", "x": 1, "y": [2]}), "", "", {})],
    ),
    "no content_block_start": (
        [*text(0, "a", "b"), stopped(0), delta(1, type="thinking_delta", thinking="c"), stopped(1)],
        [(Text(""), "ab", "", {}), (Thinking(), "c", "", {})],
    ),
    "no content_block_stop": (
        [
            *[opened(0, type="text", text=""), *text(0, "a")],
            *[opened(1, type="tool_use", id="t", name="n", input={}), stopped(1)],
        ],
        [(Text(""), "a", "", {}), (ToolCall("t", "n"), "", "", {})],
    ),
    "one index for all": (
        [opened(0, type="text", text=""), *text(0, "a"), opened(0, type="thinking", thinking="b")],
        [(Text(""), "a", "", {}), (Thinking(), "b", "", {})],
    ),
    "no index at all": (
        [
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abc"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "def"}},
            {"type": "content_block_stop"},
        ],
        [(Text(""), "abcdef", "", {})],
    ),
    "no index, two blocks": (
        [
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abc"}},
            {"type": "content_block_stop"},
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "def"}},
            {"type": "content_block_stop"},
        ],
        [(Text(""), "abc", "", {}), (Text(""), "def", "", {})],
    ),
    "two blocks wait for one": (
        [
            *[opened(0, type="text", text="a"), opened(1, type="text", text="b"), opened(2, type="text", text="c")],
            *[*text(2, "1"), stopped(1), *text(2, "2"), stopped(2), stopped(0)],
        ],
        [(Text(""), "a", "", {}), (Text(""), "b", "", {}), (Text(""), "c12", "", {})],
    ),
    "interleaved blocks": (
        [
            opened(0, type="tool_use", id="a", name="n", input={}),
            opened(1, type="tool_use", id="b", name="n", input={}),
            opened(2, type="text", text=""),
            delta(1, type="input_json_delta", partial_json='{"x":'),
            delta(0, type="input_json_delta", partial_json='{"y":'),
            *text(2, "one"),
            delta(1, type="input_json_delta", partial_json="1}"),
            delta(0, type="input_json_delta", partial_json="2}"),
            *[stopped(0), *text(2, " two"), stopped(1), stopped(2)],
        ],
        [
            (ToolCall("a", "n"), '{"y":2}', "", {}),
            (ToolCall("b", "n"), '{"x":1}', "", {}),
            (Text(""), "one two", "", {}),
        ],
    ),
    "what has no shape": (
        [
            {"type": "content_block_start", "index": 0, "content_block": None},
            {"type": "content_block_delta", "index": 0, "delta": None},
            stopped(0),
            delta(1, type="input_json_delta", partial_json="{}"),
            stopped(7),
            *[opened(2, type="text", text=5), delta(2, type="text_delta", text=None), *text(2, "ok"), stopped(2)],
            *[opened(3, type=["text"]), stopped(3)],
        ],
        [(Text(""), "ok", "", {})],
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_streamed_blocks_become_parts(name: str) -> None:
    events, expected = BLOCKS[name]
    read_events = read(start(), *events, *ended())
    assert parts(read_events) == expected
    assert stop_of(read_events).usage == Usage(input=7, output=5)


def test_many_interleaved_blocks_need_no_stack() -> None:
    many = range(2000)
    blocks = [opened(i, type="text", text=f"<{i}>") for i in many]
    events = decode([sse(start(), *blocks, *map(stopped, many), *ended())])
    assert [text for _, text, *_ in parts(events)] == [f"<{i}>" for i in many]


def test_what_arrives_together_leaves_together() -> None:
    decoder = Decoder()
    texts = [f"word{i} " for i in range(30)]
    decoder.feed(sse(start(), opened(0, type="text", text="")))
    events = decoder.feed(sse(*text(0, *texts)))
    assert [type(event) for event in events] == [Start, Open, Delta]
    assert isinstance(events[2], Delta) and b"".join(events[2].pieces) == "".join(texts).encode()
    assert len(events[2].pieces) == 30


def test_the_lane_stays_in_its_block() -> None:
    events = [
        *[opened(0, type="text", text=""), *text(0, "first", "second"), stopped(0)],
        *[opened(1, type="text", text=""), *text(1, "third", "fourth"), stopped(1)],
        *[opened(2, type="thinking", thinking=""), delta(2, type="thinking_delta", thinking="fifth")],
    ]
    assert [said[1] for said in parts(read(start(), *events, *ended()))] == ["firstsecond", "thirdfourth", "fifth"]


def test_pings_between_deltas() -> None:
    raw = sse(start(), HI[0], *text(0, "one", "two"), {"type": "ping"}, *text(0, "three"), stopped(0), *ended())
    events = decode([raw])
    assert [type(event).__name__ for event in events] == ["Start", "Open", "Delta", "Ping", "Delta", "Close", "Stop"]


def test_things_show_their_state() -> None:
    decoder = Decoder()
    decoder.feed(sse(start(), *HI[:3]))
    assert "_running" in repr(decoder) and "TextBlock 0 opened=True" in repr(decoder)
    assert "content_block_delta" in repr(decoder._template)
