"""Pictures and files of OpenAI's clients, whose own provider takes them in more ways than others do."""

from __future__ import annotations

from typing import Any

import pytest

from translate import dialects, pair
from translate.target import Target

PNG, JPEG = "iVBORw0KGgo=", "/9j/+A=="

PICTURES = {
    "a plain one": (f"data:image/png;base64,{PNG}", "image/png", PNG),
    "capitals": (f"DATA:IMAGE/PNG;Base64,{PNG}", "image/png", PNG),
    "parameters": (f"data:image/png;charset=utf-8;name=a.png;base64,{PNG}", "image/png", PNG),
    "lines": ("data:image/png;base64,iVBO\r\nRw0K Ggo=", "image/png", PNG),
    "the other alphabet": ("data:image/jpeg;base64,_9j_-A==", "image/jpeg", JPEG),
    "escapes": ("data:image/png;base64,iVBORw0KGgo%3D", "image/png", PNG),
    "no base64": ("data:image/gif,GIF89a%00", "image/gif", "R0lGODlhAA=="),
    "no type": (f"data:;base64,{JPEG}", "image/jpeg", JPEG),
    "a type that says nothing": (f"data:application/octet-stream;base64,{PNG}", "image/png", PNG),
    "another type than its bytes": (f"data:image/png;base64,{JPEG}", "image/jpeg", JPEG),
    "a word for a type": (f"data:image/jpg;base64,{JPEG}", "image/jpeg", JPEG),
}


def sent(upstream: str, part: dict[str, Any]) -> Any:
    asked = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    return pair.request("chat", upstream, asked, Target("claude-opus-5-5")).body


@pytest.mark.parametrize("name", PICTURES)
def test_anthropic_gets_pictures_as_it_takes_them(name: str) -> None:
    """It answers 400 to a type that is not the bytes' own, and to base64 of another kind."""
    url, media_type, data = PICTURES[name]
    body = sent("messages", {"type": "image_url", "image_url": {"url": url}})
    source = {"type": "base64", "media_type": media_type, "data": data}
    assert body["messages"][0]["content"] == [{"type": "image", "source": source}]


BESIDE: dict[str, Any] = {
    "bare base64, as Ollama has it": [PNG, JPEG],
    "data URLs": [f"data:image/png;base64,{PNG}", f"data:image/jpeg;base64,{JPEG}"],
    "as OpenRouter's replies have them": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{JPEG}"}},
    ],
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("role", ["user", "tool"])
def test_pictures_beside_the_content_are_seen(role: str, name: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = {"role": "assistant", "tool_calls": [call]}
    said = {"role": role, "content": "look", "images": BESIDE[name]} | ({"tool_call_id": "c"} if role == "tool" else {})
    body: Any = {"model": "m", "messages": [asked, said] if role == "tool" else [said]}
    encoded = pair.request("chat", "messages", body, Target("claude-opus-5-5"))
    content: Any = encoded.body["messages"][-1]["content"]
    content = content[0]["content"] if role == "tool" else content
    assert [block["source"]["data"] for block in content if block["type"] == "image"] == [PNG, JPEG]
    assert encoded.dropped == []
    home = dialects.of("chat").encode_request(dialects.of("chat").decode_request(body), Target("m")).body
    assert home["messages"][-1] == said, "its own protocol has them where they were"


FILES = {
    "a picture": ({"filename": "a.png", "file_data": f"data:image/png;base64,{PNG}"},
                  {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}),
    "a text that is not called one": ({"filename": "a.py", "file_data": "data:application/octet-stream;base64,aGk="},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}, "title": "a.py"}),
    "a text without a type": ({"filename": "a.md", "file_data": "data:;base64,aGk="},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}, "title": "a.md"}),
    "a text as it is": ({"filename": "a.txt", "file_data": "data:text/plain,h%C3%A9"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hé"}, "title": "a.txt"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_are_what_they_are(name: str) -> None:
    file, block = FILES[name]
    assert sent("messages", {"type": "file", "file": file})["messages"][0]["content"] == [block]
