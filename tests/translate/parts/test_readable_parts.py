"""What only one protocol can say reaches the others' models in words: authors' names, items that nobody knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import params, sdk_gemini
from tests.support.crossed import crossed
from translate import pair
from translate.conversation import Unknown
from translate.failures.errors import BadRequest
from translate.messages.ledger import LEDGER
from translate.parts import readable
from translate.target import Encoded, Policy, Protocol, Target

Json = dict[str, Any]

HELLO = {"role": "user", "content": "hello"}
TASK = {
    "type": "agent_message",
    "id": "amsg_1",
    "author": "/main",
    "recipient": "/main/helper",
    "content": [
        {"type": "input_text", "text": "Payload:"},
        {"type": "encrypted_content", "encrypted_content": "count the files"},
        {"type": "input_image", "image_url": "data:image/png;base64,eA=="},
    ],
}


def sent(client: Protocol, upstream: Protocol, history: list[Json]) -> Encoded:
    body: Json = {"model": "m", "input" if client == "responses" else "messages": history}
    out = crossed(client, upstream, body)
    assert isinstance(out, Encoded), out
    return out


# ---------------------------------------------------------------------------------------------------- authors

NAMED = [
    {"role": "system", "name": "rules", "content": "be brief"},
    {"role": "user", "name": "ann", "content": "I say yes."},
    {"role": "user", "name": "bob", "content": [{"type": "image_url", "image_url": {"url": "http://x/a.png"}}]},
    {"role": "developer", "name": "rules", "content": "be kind"},
    HELLO,
]


@pytest.mark.parametrize("upstream", ["messages", "responses"])
def test_names_of_authors_stand_before_their_words(upstream: Protocol) -> None:
    out = sent("chat", upstream, NAMED)
    said = json.dumps(out.body)
    for words in ("rules: be brief", "ann: I say yes.", "bob:", "rules: be kind"):
        assert words in said
    assert said.index("bob:") < said.index("a.png") and "name" not in " ".join(out.dropped)


@pytest.mark.parametrize("upstream", ["messages", "responses"])
def test_the_models_own_name_is_reported(upstream: Protocol) -> None:
    out = sent("chat", upstream, [HELLO, {"role": "assistant", "name": "me", "content": "hi"}, HELLO])
    assert out.dropped == ["messages.name"] and "me:" not in json.dumps(out.body)


def test_a_name_that_is_none_and_one_without_words() -> None:
    odd = [{"role": "user", "name": 7, "content": "x"}, {"role": "user", "name": "ann", "content": ""}]
    assert "ann" not in json.dumps(sent("chat", "messages", [HELLO, *odd]).body)


def test_a_name_of_several_parts_is_said_once() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    out = sent("chat", "responses", [{"role": "system", "name": "ann", "content": parts}, HELLO])
    assert out.body["instructions"] == "ann: one\n\ntwo"


# ------------------------------------------------------------------------------------------------ unknown items


@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_a_message_between_agents_is_the_users_word(upstream: Protocol) -> None:
    out = sent("responses", upstream, [TASK])
    (message,) = out.body["messages"]  # type: ignore[attr-defined,misc]
    assert message["role"] == "user" and out.dropped == []
    said = json.dumps(message)
    assert "[agent_message: author /main, recipient /main/helper]" in said
    assert said.index("Payload:") < said.index("count the files") and "eA==" in said


@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_a_real_cipher_is_reported(upstream: Protocol) -> None:
    for cipher in ("gAAAAAB" + "x" * 90, "~sealed.other.1.eA=="):
        part = {"type": "encrypted_content", "encrypted_content": cipher}
        out = sent("responses", upstream, [TASK | {"content": [TASK["content"][0], part]}])
        assert out.dropped == ["encrypted_content"] and cipher not in json.dumps(out.body)


@pytest.mark.parametrize("upstream", ["messages", "chat"])
@pytest.mark.parametrize(
    ("item", "role", "words"),
    [
        ({"type": "new_note", "text": "by the model"}, "assistant", "[new_note]\nby the model"),
        ({"type": "new_thing", "content": "plain"}, "assistant", "plain"),
        ({"type": "new_thing_output", "output": {"text": "found"}}, "user", "[new_thing_output]\nfound"),
        ({"type": "mcp_call", "id": "x", "server_label": "s", "name": "n", "arguments": "{}", "output": "42"},
         "assistant", "42"),
        ({"type": "program_output", "id": "x", "call_id": "c", "result": "43", "status": "completed"}, "user", "43"),
        ({"type": "code_interpreter_call", "id": "x", "code": "print(6)", "outputs": [{"type": "logs", "logs": "six"}]},
         "assistant", "print(6)\nsix"),
    ],
)  # fmt: skip
def test_what_can_be_read_of_an_item(upstream: Protocol, item: Json, role: str, words: str) -> None:
    out = sent("responses", upstream, [HELLO, item, {"role": "assistant", "content": "well"}, HELLO])
    assert out.dropped == []
    found = [m["role"] for m in out.body["messages"] if json.dumps(words)[1:-1] in json.dumps(m)]  # type: ignore[attr-defined]
    assert found == [role]


@pytest.mark.parametrize("upstream", ["messages", "chat"])
@pytest.mark.parametrize(
    "item", [{"type": "web_search_call", "id": "x", "action": {"query": "q"}}, {"type": "new_empty", "id": "x", "n": 1}]
)
def test_what_is_not_to_be_read_is_reported(upstream: Protocol, item: Json) -> None:
    assert sent("responses", upstream, [HELLO, item, HELLO]).dropped == [item["type"]]


def test_pictures_and_ciphers_are_no_words() -> None:
    raw = {"type": "n", "a": "data:image/png;base64,eA==", "b": "x" * 2000, "c": ["read"], "signature": "s", "n": 1}
    assert readable.unknown(Unknown("messages", raw), "chat", LEDGER) == "[n]\nread"
    assert readable.unknown(Unknown("other", {"type": "y_result", "text": "t"}), "chat", LEDGER) == "t"


@pytest.mark.parametrize("upstream", ["messages", "responses", "gemini"])
def test_bytes_beside_words_are_reported(upstream: Protocol) -> None:
    pages: list[Json] = [{"url": "data:application/x-sheet;base64,eA=="}, {"data": "eA=="}]
    for page in pages:
        sheet = {"type": "new_sheet", "name": "a.xls", "pages": [page]}
        out = sent("chat", upstream, [{"role": "user", "content": [sheet]}])
        assert "[new_sheet]\\na.xls" in json.dumps(out.body) and out.dropped == ["new_sheet"]


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_the_text_of_a_fetched_page_is_told(upstream: Protocol) -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "Words of the page."}
    page = {"type": "web_fetch_result", "url": "https://a.example", "content": {"type": "document", "source": text}}
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_fetch", "input": {"url": "https://a.example"}}
    result = {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": page}
    turns = [{"role": "user", "content": "Read it."}, {"role": "assistant", "content": [call, result]}]
    turns.append({"role": "user", "content": "And?"})
    out = crossed("messages", upstream, {"model": "m", "max_tokens": 9, "messages": turns})
    assert isinstance(out, Encoded)
    assert "Words of the page." in json.dumps(out.body) and "web_fetch_tool_result" not in out.dropped


@pytest.mark.parametrize("upstream", ["messages", "responses"])
@pytest.mark.parametrize("url", ["http://x/v", "data:video/mp4;base64,AAAA"])
@pytest.mark.parametrize("kind", ["video_url", "audio_url"])
def test_input_that_the_model_must_see_is_refused(upstream: Protocol, url: str, kind: str) -> None:
    film = {"type": kind, kind: {"url": url.replace("video", kind.removesuffix("_url"))}}
    out = crossed("chat", upstream, {"model": "m", "messages": [{"role": "user", "content": [film]}]})
    assert isinstance(out, BadRequest) and kind.removesuffix("_url") in out.message


FILMS = [
    ("video_url", "https://www.youtube.com/watch?v=x", {"fileData": {"mimeType": "video/mp4"}}),
    ("video_url", "https://x/a.MOV?b=c", {"fileData": {"mimeType": "video/quicktime"}}),
    ("video_url", "data:video/webm;base64,AAAA", {"inlineData": {"mimeType": "video/webm", "data": "AAAA"}}),
    ("audio_url", "https://x/a.wav", {"fileData": {"mimeType": "audio/wav"}}),
    ("audio_url", "data:audio/mpeg;base64,AAAA", {"inlineData": {"mimeType": "audio/mpeg", "data": "AAAA"}}),
]


@pytest.mark.parametrize(("kind", "url", "part"), FILMS)
def test_films_and_sounds_by_address_reach_google(kind: str, url: str, part: dict[str, Any]) -> None:
    """As OpenRouter's and vLLM's clients send them."""
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": kind, kind: {"url": url}}]}]}
    out = crossed("chat", "gemini", body)
    assert isinstance(out, Encoded) and out.dropped == []
    if "fileData" in part:
        part = {"fileData": part["fileData"] | {"fileUri": url}}
    assert out.body["contents"] == [{"role": "user", "parts": [part]}]


# ---------------------------------------------------------------------------------- what instructions show

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,iVBORw0KGgo="
SHOWING: dict[Protocol, Json] = {
    "chat": {
        "messages": [
            {"role": "system", "content": [
                {"type": "text", "text": "be brief"},
                {"type": "image_url", "image_url": {"url": PNG}},
                {"type": "file", "file": {"filename": "rules.pdf", "file_data": PDF}},
            ]},
            HELLO,
        ],
    },
    "responses": {
        "input": [
            {"role": "developer", "content": [
                {"type": "input_text", "text": "be brief"},
                {"type": "input_image", "detail": "auto", "image_url": PNG},
                {"type": "input_file", "filename": "rules.pdf", "file_data": PDF},
            ]},
            HELLO,
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [
            {"text": "be brief"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "iVBORw0KGgo=", "displayName": "rules.pdf"}},
        ]},
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
    },
}  # fmt: skip
CHECKS = params.CHECKS | {"gemini": sdk_gemini.request_problems}
HISTORY = {"messages": "messages", "chat": "messages", "responses": "input", "gemini": "contents"}


@pytest.mark.parametrize("client", SHOWING)
@pytest.mark.parametrize("upstream", HISTORY)
def test_what_instructions_show_is_in_the_first_turn(client: Protocol, upstream: Protocol) -> None:
    """Nobody's instructions hold pictures, but the clients' of some, whose own servers take them."""
    if client == upstream:
        return
    out = crossed(client, upstream, {"model": "m"} | SHOWING[client])
    assert isinstance(out, Encoded) and out.dropped == []
    assert CHECKS[upstream](json.loads(out.json())) == []
    turns: Any = out.body[HISTORY[upstream]]
    first = json.dumps(next(turn for turn in turns if turn.get("role") != "system"))
    assert first.count("iVBORw0KGgo=") == 2 and "rules.pdf" in first and "hello" in first
    assert json.dumps(out.body).count("iVBORw0KGgo=") == 2 and "be brief" not in first


ALONE: list[tuple[Protocol, dict[str, Any]]] = [
    ("chat", {"messages": [{"role": "system", "content": "Say hi."}]}),
    ("chat", {"messages": [{"role": "system", "content": "Say hi."}, {"role": "user", "content": ""}]}),
    ("chat", {"messages": [{"role": "developer", "content": "Say hi."}, {"role": "user", "content": " "}]}),
    ("responses", {"instructions": "Say hi.", "input": []}),
    ("responses", {"input": [{"role": "system", "content": "Say hi."}]}),
    ("messages", {"max_tokens": 9, "messages": [{"role": "system", "content": "Say hi."}]}),
]


@pytest.mark.parametrize(("client", "said"), ALONE)
def test_instructions_alone_are_the_users_words_where_somebody_must_speak(client: Protocol, said: Any) -> None:
    body = {"model": "m"} | said
    if client != "messages":
        claude: Any = pair.request(client, "messages", body, Target("m")).body
        assert "system" not in claude
        assert claude["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Say hi."}]}]
    if client != "responses":  # OpenAI refuses an empty input beside instructions
        gpt: Any = pair.request(client, "responses", body, Target("m")).body
        assert "instructions" not in gpt
        assert [(item["role"], item["content"]) for item in gpt["input"]] == [
            ("user", [{"type": "input_text", "text": "Say hi."}])
        ]
    gemini: Any = pair.request(client, "gemini", body, Target("m")).body
    assert "systemInstruction" not in gemini
    assert gemini["contents"] == [{"role": "user", "parts": [{"text": "Say hi."}]}]


@pytest.mark.parametrize("upstream", ["messages", "gemini"])
def test_authors_of_instructions_alone_are_told(upstream: Protocol) -> None:
    said = [{"role": "system", "name": name, "content": f"of {name}"} for name in ("bob", "eve")]
    sent = pair.request("chat", upstream, {"model": "m", "messages": said}, Target("m"))
    [turn] = sent.body["messages" if upstream == "messages" else "contents"]
    parts = turn["content" if upstream == "messages" else "parts"]
    assert turn["role"] == "user" and [part["text"] for part in parts] == ["bob: of bob", "eve: of eve"]


def test_instructions_that_show_something_before_no_turn_of_the_users() -> None:
    said = [*SHOWING["chat"]["messages"][:1], {"role": "assistant", "content": "well"}, HELLO]
    turns: Any = sent("chat", "messages", said).body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [part["type"] for part in turns[0]["content"]] == ["text", "image", "document"]


# ------------------------------------------------------------------------------------- what the model has shown

ASK, MORE = "draw it", "bigger"
DRAWN: dict[Protocol, Json] = {
    "chat": {"messages": [
        {"role": "user", "content": ASK},
        {"role": "assistant", "content": "here", "images": [{"type": "image_url", "image_url": {"url": PNG}}]},
        {"role": "user", "content": MORE},
    ]},
    "responses": {"input": [
        {"role": "user", "content": ASK},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "here"}]},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo="},
        {"role": "user", "content": MORE},
    ]},
    "gemini": {"contents": [
        {"role": "user", "parts": [{"text": ASK}]},
        {"role": "model", "parts": [{"text": "here"}, SHOWING["gemini"]["systemInstruction"]["parts"][1]]},
        {"role": "user", "parts": [{"text": MORE}]},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("client", DRAWN)
@pytest.mark.parametrize("upstream", HISTORY)
def test_what_the_model_has_drawn_goes_back_where_the_upstream_takes_it(client: Protocol, upstream: Protocol) -> None:
    if client == upstream:
        return
    out = crossed(client, upstream, {"model": "m"} | DRAWN[client])
    assert isinstance(out, Encoded) and out.dropped == []
    assert CHECKS[upstream](json.loads(out.json())) == []
    turns: Any = out.body[HISTORY[upstream]]
    assert [turn["role"] for turn in turns] == ["user", "model" if upstream == "gemini" else "assistant", "user"]
    drawn, last = json.dumps(turns[1]), json.dumps(turns[2])
    assert "here" in drawn and MORE in last and json.dumps(out.body).count("iVBORw0KGgo=") == 1
    assert "iVBORw0KGgo=" in (drawn if upstream == "gemini" else last)


@pytest.mark.parametrize("last", ["tool", "assistant", None])
def test_there_it_stands_after_results_and_in_a_turn_of_its_own_where_none_follows(last: str | None) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [HELLO, DRAWN["chat"]["messages"][1] | ({"tool_calls": [call]} if last == "tool" else {})]
    said += [{"role": "tool", "tool_call_id": "c", "content": "found"}] if last == "tool" else []
    said += [{"role": "assistant", "content": "and"}] if last == "assistant" else []
    turns: Any = sent("chat", "messages", said).body["messages"]
    kinds = [block["type"] for block in turns[2]["content"]]
    assert turns[2]["role"] == "user" and kinds == ["tool_result"] * (last == "tool") + ["text", "image"]


def test_it_comes_home_as_it_was() -> None:
    body = {"model": "m"} | DRAWN["chat"]
    encoded = pair.request("chat", "chat", body, Target("m", Policy(rebuild=True)))
    assert encoded.body["messages"] == body["messages"] and encoded.dropped == []


# ------------------------------------------------------------------------------------- programs of a provider

RAN: list[tuple[str, Json, str]] = [
    ("bash_code_execution", {"type": "bash_code_execution_result", "stdout": "out", "stderr": "err", "return_code": 2,
                             "content": []}, "out\nerr\nexit code 2"),
    ("bash_code_execution", {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 1,
                             "content": []}, "exit code 1"),
    ("code_execution", {"type": "code_execution_result", "stdout": "out", "stderr": "", "return_code": 0,
                        "content": []}, "out"),
    ("code_execution", {"type": "code_execution_tool_result_error", "error_code": "unavailable"},
     "Error: unavailable"),
    ("text_editor_code_execution", {"type": "text_editor_code_execution_view_result", "file_type": "text",
                                    "content": "line", "num_lines": 1, "start_line": 1, "total_lines": 1}, "line"),
    ("web_fetch", {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"},
     "Error: url_not_accessible"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "content", "words"), RAN)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_how_a_providers_program_ended_is_told(upstream: Protocol, tool: str, content: Json, words: str) -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": tool, "input": {}}
    result = {"type": f"{tool}_tool_result", "tool_use_id": "srvtoolu_1", "content": content}
    history = [HELLO, {"role": "assistant", "content": [use, result]}, HELLO]
    body: Json = {"model": "m", "max_tokens": 9, "messages": history}
    out = pair.request("messages", upstream, body, Target("m"))
    assert json.dumps(words) in json.dumps(out.body)
