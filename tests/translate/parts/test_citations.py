"""What a text cites, from each protocol's words into each other's: an address, a title, a place in the text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import crossing
from translate.chat import citations as chat
from translate.chat import reply
from translate.chat.encode_stream import Encoder
from translate.conversation import Citation, Close, Delta, Event, Open, Part, Refusal, Start, Stop, Text, ToolCall
from translate.json import wire
from translate.messages import citations as messages
from translate.parts import citations
from translate.responses import citations as responses
from translate.tools.websearch import MARK

LENGTH = 11  # of the text
PAGE = {"url": "https://x", "title": "X"}
SPAN = {"start_index": 2, "end_index": 5}

# (protocol, what its text cites) -> Chat's annotations, Responses' annotations
CITED: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("responses", {"type": "url_citation", **SPAN, **PAGE},
     [{"type": "url_citation", "url_citation": {"start_index": 5, "end_index": 8} | PAGE}],
     [{"type": "url_citation", **SPAN, **PAGE}]),
    ("responses", {"type": "url_citation", "url": "u", "more": 1},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, "title": "u", "url": "u"}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u", "more": 1}]),
    ("responses", {"type": "url_citation"}, [], []),
    ("responses", {"type": "file_citation", "file_id": "f"}, [], [{"type": "file_citation", "file_id": "f"}]),
    ("responses", "odd", [], ["odd"]),
    ("chat", {"type": "url_citation", "url_citation": SPAN | PAGE},
     [{"type": "url_citation", "url_citation": SPAN | PAGE}], [{"type": "url_citation", **SPAN, **PAGE}]),
    ("chat", {"type": "url_citation", "url_citation": {"url": "u", "start_index": 2}},
     [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 2}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("chat", {"type": "url_citation", "url_citation": {"url": "u", "end_index": 2}},
     [{"type": "url_citation", "url_citation": {"url": "u", "end_index": 2}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("chat", {"url_citation": {"url": ""}}, [{"url_citation": {"url": ""}}], []),
    ("chat", {"url_citation": {"url": 7}}, [{"url_citation": {"url": 7}}], []),
    ("chat", {"url_citation": "odd"}, [{"url_citation": "odd"}], []),
    ("chat", {}, [{}], []),
    ("messages", {"type": "web_search_result_location", "cited_text": "x", **PAGE},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, **PAGE}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, **PAGE}]),
    ("messages", {"url": "u", "title": None},
     [{"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 14, "title": "u", "url": "u"}}],
     [{"type": "url_citation", "start_index": 0, "end_index": LENGTH, "title": "u", "url": "u"}]),
    ("messages", {"type": "char_location", "cited_text": "x"}, [], []),
    ("messages", {"url": ""}, [], []),
    ("messages", {"url": ["u"]}, [], []),
    ("messages", "odd", [], []),
]  # fmt: skip


READ: dict[str, Callable[[Any], Citation]] = {"messages": messages.read, "chat": chat.read, "responses": responses.read}


@pytest.mark.parametrize(("protocol", "raw", "in_chat", "in_responses"), CITED)
def test_citations_are_written_for_chat_and_responses(
    protocol: str, raw: Any, in_chat: list[Any], in_responses: list[Any]
) -> None:
    cited = READ[protocol](raw)
    assert (cited.protocol, cited.raw) == (protocol, raw)
    assert chat.write([cited], 3, 3 + LENGTH) == in_chat
    assert responses.write([cited], LENGTH) == in_responses
    assert chat.write([cited, cited], 3, 3 + LENGTH) == in_chat * 2
    assert responses.write([cited, cited], LENGTH) == in_responses * 2


@pytest.mark.parametrize(("protocol", "raw", "in_chat", "in_responses"), CITED)
def test_citations_for_messages(protocol: str, raw: Any, in_chat: list[Any], in_responses: list[Any]) -> None:
    """Its own as they are; of others each page, with a mark where Anthropic has its cipher."""
    cited = READ[protocol](raw)
    written = messages.write([cited])
    if protocol == "messages":
        assert written == [raw]
    else:
        page = {"type": "web_search_result_location", "url": cited.url, "title": cited.title or None}
        assert written == [page | {"cited_text": "", "encrypted_index": MARK}] * bool(cited.url)
    assert bool(cited.url) == any(note != raw or note.get("url") for note in in_responses if note != "odd")


@pytest.mark.parametrize("pieces", [1, 3, 200])
def test_a_stream_tells_the_same_places_as_the_whole_reply(pieces: int) -> None:
    """The AI SDK's schema of a chunk demands them: a stream that cites without them ends there in an error."""
    texts = ["I look.\n", "So \u00e4\U0001f389 ", 'the "sky" is blue', "."]
    cited = [Citation("messages", {}, **PAGE)]
    events: list[Event] = [Start()]
    for n, text in enumerate(texts):
        events += [Open(Text("")), Delta([wire.inside(text[i::pieces]) for i in range(pieces)])]
        events += [Close(citations=cited if n == 2 else []), *([Open(ToolCall("", "f")), Close()] if n == 0 else [])]
    events.append(Stop("end"))
    asked = crossing.asked("chat")
    whole = reply.collect(events, asked)["choices"][0]["message"]
    chunks = [
        json.loads(line[6:]) for line in Encoder(asked).emit(events).decode().splitlines() if line[:7] == "data: {"
    ]
    notes = [note for chunk in chunks for each in chunk["choices"] for note in each["delta"].get("annotations", [])]
    assert [note | {"index": 0} for note in whole["annotations"]] == notes
    place = notes[0]["url_citation"]
    assert place["end_index"] - place["start_index"] == len(texts[2])
    assert whole["content"][place["start_index"]] == texts[2][0]


def test_a_place_counts_from_the_beginning_of_the_content_in_chat_and_of_the_text_elsewhere() -> None:
    raw = {"url_citation": PAGE | {"start_index": 7, "end_index": 9}}
    assert (chat.read(raw, 7).start, chat.read(raw, 7).end) == (0, 2)
    assert (chat.read(raw, 8).start, chat.read(raw, 8).end) == (None, None)  # of a text before
    (note,) = chat.write([Citation("responses", {}, **PAGE, start=2, end=5)], 3, 20)
    assert (note["url_citation"]["start_index"], note["url_citation"]["end_index"]) == (5, 8)


def test_nothing_cited() -> None:
    assert chat.write([], 0, 1) == responses.write([], 1) == messages.write([]) == []


def test_only_what_cites_as_a_whole_is_a_piece() -> None:
    parts: list[Part] = [Text("a"), Refusal("b"), Text("c", {}, [Citation("responses", {}, "u", "", 0, 1)])]
    assert not citations.are_pieces(parts)
    assert citations.are_pieces([*parts, Text("d", {}, [Citation("messages", {})])])


def test_a_gemini_client_learns_which_piece_of_claudes_rests_on_a_page() -> None:
    """Google's own programs put their marks where a segment ends."""
    cited = [{"type": "web_search_result_location", "cited_text": "x", "encrypted_index": "E", **PAGE}]
    body = {"type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "content": [
        {"type": "text", "text": "So: "}, {"type": "text", "text": "größer", "citations": cited}]}  # fmt: skip
    said = json.loads(crossing.whole("gemini", "messages", json.dumps(body).encode()))["candidates"][0]
    (support,) = said["groundingMetadata"]["groundingSupports"]
    assert support["segment"] == {"partIndex": 1, "endIndex": len("größer".encode()), "text": "größer"}
    assert said["content"]["parts"][1]["text"] == "größer"


def test_a_gemini_client_hears_a_text_once_that_rests_on_several_pages() -> None:
    cited = [{"type": "url_citation", "url_citation": {"url": f"https://x.test/{n}", "title": "T"}} for n in (0, 1, 0)]
    body = {"choices": [{"finish_reason": "stop", "message": {"content": "It is.", "annotations": cited}}]}
    said = json.loads(crossing.whole("gemini", "chat", json.dumps(body).encode()))["candidates"][0]
    assert said["groundingMetadata"]["groundingSupports"] == [
        {"segment": {"endIndex": 6, "text": "It is."}, "groundingChunkIndices": [0, 1]}
    ]
