"""What a reply says, irrespective of protocol: read from the wire by code that knows no translator.

`of_messages` and `of_chat` take a whole body (dict) or a stream (bytes) and give a `Meaning`: text, thinking,
tool calls, why it stopped, usage, whether it failed. The same two functions read the recorded reply and the
translated one, so a translator is right when both say the same. `differences` names what differs. Kept
apart from translate/ on purpose: a second reading of each oddity, not a copy of the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from translate.reasoning import sealed_reasoning

STOP = {
    "end_turn": "end", "stop_sequence": "end", "pause_turn": "length", "compaction": "end", "stop": "end",
    "eos": "end", "max_tokens": "length", "length": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool", "tool_calls": "tool", "tool_call": "tool", "function_call": "tool",
    "refusal": "refusal", "content_filter": "refusal",
}  # fmt: skip
_TOLD = re.compile(r"(?:\n\n)?\[(?:image|audio|file): [^\]\n]+\]\n")
_THINK = re.compile(r"<think>(.*?)(?:</think>|$)", re.S)


@dataclass
class Meaning:
    """text and thinking are joined over all blocks. calls: (name, arguments), arguments as a dict, or as the
    text itself where that is no JSON object. stop: end, length, tool, refusal, or "" where the reply has no
    end. prompt, cached, output: tokens, None where never told. failed: the reply is or ends in an error.
    foreign: block types that no other protocol has (server tools). breaks: where in the text another message begins, or
    a tool stands between."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str = ""
    prompt: int | None = None
    cached: int | None = None
    output: int | None = None
    failed: bool = False
    error: str = ""
    foreign: set[str] = field(default_factory=set)
    opaque: int = 0  # encrypted thinking
    signed: int = 0  # thinking with a signature
    detailed: str = ""  # Chat's reasoning_details: the thinking once more, or the only place it is in
    cited: list[str] = field(default_factory=list)  # addresses that texts cite
    places: int = 0  # citations of a place in the request's own documents, or in a provider's file
    searched: list[str] = field(default_factory=list)  # what the provider itself searched the web for
    met: str = ""  # the stop sequence
    thought: int | None = None  # tokens of thinking
    written: int | None = None  # tokens written to a cache
    media: int = 0  # pictures, files and untold sounds that are shown, or told of in a line of text
    beside: set[str] = field(default_factory=set)  # what else was said: logprobs, further answers, speech, ...

    breaks: list[int] = field(default_factory=list, compare=False)

    def parted(self) -> None:
        """What comes now is no piece of the text so far."""
        if self.text and self.breaks[-1:] != [len(self.text)]:
            self.breaks.append(len(self.text))

    def in_paragraphs(self) -> str:
        """The text as clients read it whose protocol has one text."""
        out, at = "", 0
        for end in self.breaks:
            rest = self.text[end:]
            out += self.text[at:end] + ("\n\n" if rest and not rest.startswith("\n") else "")
            at = end
        return out + self.text[at:]

    def settled(self) -> Meaning:
        """With the stop reason that fits the content: a server may say "stop" although it calls a tool."""
        self.text, told = _TOLD.subn("", self.text)
        self.media += told
        if self.stop == "tool" and not self.calls:
            self.stop = "end"
        elif self.stop in ("end", "none") and self.calls:
            self.stop = "tool"
        elif self.stop == "none":
            self.stop = "end"
        if self.stop not in ("", "tool") and self.failed:
            self.stop = ""
        return self


def in_words(client: str, want: Meaning, got: Meaning) -> Meaning:
    """A refusal that was told by its stop reason alone has words for clients of OpenAI's protocols: the provider's
    explanation, or for Responses ours."""
    if client in ("chat", "responses") and want.stop == "refusal" and got.text.startswith(want.text):
        return replace(want, text=got.text)
    return want


def differences(want: Meaning, got: Meaning, usage: bool = True) -> list[str]:
    """Names of the fields that differ, each with both values. Usage counts only where `want` has it."""
    out = []
    if got.text not in (want.text, want.in_paragraphs()):
        out.append(f"text: want {_short(want.in_paragraphs())} got {_short(got.text)}")
    for name in ("thinking", "calls", "media", "failed"):
        if getattr(want, name) != getattr(got, name):
            out.append(f"{name}: want {_short(getattr(want, name))} got {_short(getattr(got, name))}")
    if not want.failed and want.stop != got.stop:
        out.append(f"stop: want {want.stop!r} got {got.stop!r}")
    if got.failed and not got.error:
        out.append("error: without a message")
    for name in ("prompt", "cached", "output") if usage and not want.failed else ():
        value = getattr(want, name)
        if name == "prompt" and value == 0:
            continue  # no prompt has no tokens: a local estimate may stand in
        if value is not None and value != (getattr(got, name) or 0):
            out.append(f"{name}: want {value} got {getattr(got, name)}")
    return out


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:190]} ... {text[-190:]} ({len(text)})"


def arguments(value: Any) -> Any:
    """Tool arguments as what they mean: "" is {}; what is no JSON object stays text (also out of the
    wrapping that a translator gives it where the protocol wants an object)."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value) if value.strip() else {}
        except ValueError:
            return value
        value = value if not isinstance(parsed, dict) else parsed
    if isinstance(value, dict) and value.keys() == {"_raw"}:
        return value["_raw"]
    return {} if value is None else value


def events(raw: bytes) -> Iterator[tuple[str, Any]]:
    """(event name, data) of a stream, read with every tolerance; data as JSON, or "[DONE]", or the text."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for block in re.split(r"\n\n+", text):
        name, data = "", []
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key in ("data", "error"):
                name = "error" if key == "error" else name
                data.append(value)
        if data:
            joined = "\n".join(data).strip()
            try:
                yield name, json.loads(joined)
            except ValueError:
                yield name, joined


# ------------------------------------------------------------------------------------------- Messages


def of_messages(reply: dict[str, Any] | bytes) -> Meaning:
    """The meaning of a Messages reply: a whole body, or a stream's bytes."""
    if isinstance(reply, dict):
        if isinstance(reply.get("error"), dict):
            return Meaning(failed=True, error=str(reply["error"].get("message") or ""))
        out = Meaning(stop=STOP.get(reply.get("stop_reason") or "", ""))
        for block in reply.get("content") or []:
            _block(out, block)
        _messages_end(out, reply)
        _messages_usage(out, [reply.get("usage") or {}])
        return out.settled()
    return _messages_stream(reply)


def _messages_stream(raw: bytes) -> Meaning:
    out, usages, block, fed, ended = Meaning(), [], None, "", False
    for _, data in events(raw):
        kind = data.get("type") if isinstance(data, dict) else ""
        if kind == "message_start":
            message = data["message"]
            for item in message.get("content") or []:
                _block(out, item)
            usages.append(message.get("usage") or {})
            out.stop = STOP.get(message.get("stop_reason") or "", out.stop)
        elif kind == "content_block_start":
            block, fed = dict(data["content_block"]), ""
        elif kind == "content_block_delta" and block is not None:
            delta = data["delta"]
            if delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
            elif delta["type"] == "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            else:
                value = delta.get("text", delta.get("thinking", delta.get("partial_json", delta.get("content"))))
                fed += value or ""
        elif kind in ("content_block_stop", "message_delta", "message_stop", "error"):
            if block is not None:
                _finish_block(out, block, fed)
                block = None
            if kind == "message_delta":
                usages.append(data.get("usage") or {})
                out.stop = STOP.get(data["delta"].get("stop_reason") or "", out.stop)
                _messages_end(out, data["delta"])
            elif kind == "message_stop":
                ended = True
            elif kind == "error":
                out.failed, out.error = True, str((data.get("error") or {}).get("message") or "")
    if block is not None:
        _finish_block(out, block, fed)
    if not out.failed and not out.stop and not ended:
        out.failed, out.error = True, "the stream has no end"
    _messages_usage(out, usages)
    return out.settled()


def _finish_block(out: Meaning, block: dict[str, Any], fed: str) -> None:
    kind = block.get("type")
    if kind in ("text", "thinking"):
        block[kind] = (block.get(kind) or "") + fed
    elif kind in ("tool_use", "server_tool_use") and fed:
        block["input"] = fed
    _block(out, block)


def _messages_end(out: Meaning, said: dict[str, Any]) -> None:
    out.met = said.get("stop_sequence") or ""
    if said.get("stop_reason") in ("pause_turn", "model_context_window_exceeded", "compaction"):
        out.beside.add(f"stop_reason {said['stop_reason']}")
    out.beside |= {key for key in ("container", "stop_details", "context_management") if said.get(key)}


def _block(out: Meaning, block: dict[str, Any]) -> None:
    kind = block.get("type")
    if kind not in ("text", "thinking", "redacted_thinking"):
        out.parted()
    if kind == "text":
        out.text += block.get("text") or ""
        for cited in block.get("citations") or []:
            cited_by(out, cited)
    elif kind == "server_tool_use" and block.get("name") == "web_search":
        out.searched.append(str(arguments(block.get("input")).get("query")))
    elif kind == "web_search_tool_result":
        out.beside.add("results of web_search")
    elif kind == "thinking":
        out.thinking += block.get("thinking") or ""
        out.signed += bool(block.get("signature"))
    elif kind == "redacted_thinking" and sealed_reasoning.is_of_extra(block.get("data") or ""):
        out.beside.add("extra_content")
    elif kind == "redacted_thinking":
        out.opaque += 1
    elif kind == "tool_use":
        out.calls.append((block.get("name") or "", arguments(block.get("input"))))
    else:
        out.media += kind == "container_upload"
        out.foreign.add(str(kind))


def _messages_usage(out: Meaning, usages: list[dict[str, Any]]) -> None:
    merged = {key: value for usage in usages for key, value in usage.items() if value is not None}
    if "output_tokens" in merged:
        out.output = merged["output_tokens"]
    if "input_tokens" in merged:
        read = merged.get("cache_read_input_tokens") or 0
        out.prompt = merged["input_tokens"] + read + (merged.get("cache_creation_input_tokens") or 0)
        out.cached = read
        out.written = merged.get("cache_creation_input_tokens") or 0
    if isinstance(details := merged.get("output_tokens_details"), dict):
        out.thought = details.get("thinking_tokens")


def cited_by(out: Meaning, cited: dict[str, Any]) -> None:
    """A citation in any protocol's words: an address, or a place in something that was given."""
    inner = cited.get("url_citation") or cited
    if inner.get("url"):
        out.cited.append(inner["url"])
    else:
        out.places += 1


# ----------------------------------------------------------------------------------------------- Chat


def of_chat(reply: dict[str, Any] | bytes, think_tags: bool = False) -> Meaning:
    """The meaning of a Chat reply. think_tags: `<think>` in the content is thinking, not text."""
    out = _chat_body(reply) if isinstance(reply, dict) else _chat_stream(reply)
    out.thinking = out.thinking or out.detailed
    if think_tags:
        out.thinking += "".join(_THINK.findall(out.text))
        out.text = _THINK.sub("", out.text)
    return out.settled()


def _chat_body(reply: dict[str, Any]) -> Meaning:
    if reply.get("error"):
        error = reply["error"]
        return Meaning(failed=True, error=str(error.get("message") if isinstance(error, dict) else error))
    out = Meaning()
    if not reply.get("choices"):
        return Meaning(failed=True, error="no choices")
    choice = reply["choices"][0]
    message = choice.get("message") or {}
    _chat_texts(out, message)
    for each in reply["choices"]:
        _chat_beside(out, reply, each, message)
    for call in message.get("tool_calls") or []:
        function = call.get("function") or call.get("custom") or {}
        given = {"input": function["input"]} if "input" in function else arguments(function.get("arguments"))
        out.calls.append((function.get("name") or "", given))
    function = message.get("function_call") or {}
    if function.get("name"):
        out.calls.append((function["name"], arguments(function.get("arguments"))))
    out.stop = STOP.get(choice.get("finish_reason") or "", "") or "none"
    if message.get("refusal") and out.stop == "end":
        out.stop = "refusal"
    _chat_usage(out, reply)
    return out


def _chat_texts(out: Meaning, message: dict[str, Any]) -> None:
    content = message.get("content")
    for part in content if isinstance(content, list) else []:
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            out.thinking += inner if isinstance(inner, str) else "".join(p.get("text") or "" for p in inner or [])
        elif part.get("type") == "text":
            out.text += part.get("text") or ""
        elif part.get("type") == "refusal":
            out.text += part.get("refusal") or ""
        elif part.get("type") == "image_url":
            out.media += 1
        else:
            out.foreign.add(str(part.get("type")))
    out.media += len(message.get("images") or [])
    if isinstance(content, dict) and "type" not in content:  # Cloudflare: what a JSON schema asks for
        content = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    out.text += content if isinstance(content, str) else ""
    out.text += message.get("refusal") or ""
    details = [d for d in message.get("reasoning_details") or [] if isinstance(d, dict)]
    said = message.get("reasoning_content") or message.get("reasoning")
    out.thinking += said if isinstance(said, str) else ""
    out.detailed += "".join(d.get("text") or d.get("summary") or "" for d in details)
    out.opaque += sum(bool(d.get("data")) for d in details)
    out.signed += sum(bool(d.get("signature")) for d in details)


def _chat_beside(out: Meaning, data: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
    if choice.get("index"):
        out.beside.add("further answers")
        return
    if choice.get("logprobs"):
        out.beside.add("logprobs")
    met = choice.get("stop_reason")  # vLLM's; others say a finish_reason there, or a token's number
    out.met = met if isinstance(met, str) and met not in STOP else out.met
    for note in message.get("annotations") or []:
        cited_by(out, note)
    audio = message.get("audio")
    if isinstance(audio, dict) and audio.get("data"):
        out.beside.add("audio")
    out.beside |= {key for key in ("executed_tools", "extra_content") if message.get(key)}
    out.beside |= {"moderation"} if data.get("moderation") else set()
    for page in data.get("search_results") or []:  # Perplexity's, on every chunk
        if page["url"] not in out.cited:
            out.cited.append(page["url"])


@dataclass
class _Call:
    index: Any
    id: str
    name: str
    text: str = ""
    whole: Any = None


def _chat_stream(raw: bytes) -> Meaning:
    out, calls, done, refused = Meaning(), [], False, False
    for name, data in events(raw):
        if data == "[DONE]":
            done = True
            continue
        if not isinstance(data, dict):
            continue
        if data.get("error") or name == "error":
            error = data.get("error") or data
            out.failed = True
            out.error = str((error.get("message") if isinstance(error, dict) else error) or error)
        _chat_usage(out, data)
        for choice in data.get("choices") or []:
            delta = choice.get("delta") or {}
            _chat_beside(out, data, choice, delta)
            if choice.get("index") not in (0, None):
                continue
            _chat_texts(out, delta)
            refused = refused or bool(delta.get("refusal"))
            for call in delta.get("tool_calls") or []:
                _chat_call(calls, call)
            if any((delta.get("function_call") or {}).values()):
                _chat_call(calls, {"index": 0, "function": delta["function_call"]})
            reason = STOP.get(choice.get("finish_reason") or "", "")
            out.stop = reason or out.stop
    out.calls = [(call.name, arguments(call.text if call.whole is None else call.whole)) for call in calls]
    if refused and out.stop == "end":
        out.stop = "refusal"
    if not out.stop:
        if done:
            out.stop = "none"
        elif not out.failed:
            out.failed, out.error = True, "the stream has no end"
    return out


def _chat_call(calls: list[_Call], call: dict[str, Any]) -> None:
    function = call.get("function") or call.get("custom") or {}
    index, id, name = call.get("index"), call.get("id") or "", function.get("name") or ""
    known = None
    if isinstance(index, int) and index >= 0:
        known = next((c for c in reversed(calls) if c.index == index), None)
        if known and id and known.id and id != known.id and name:
            known = None  # the index is used again for another call
    elif id:
        known = next((c for c in calls if c.id == id), None)
    elif not name and calls:
        known = calls[-1]
    if known is None:
        known = _Call(index, id, name)
        calls.append(known)
    known.name = known.name or name
    given = function.get("arguments")
    if "input" in function:
        known.whole = {"input": (known.whole or {"input": ""})["input"] + function["input"]}
    elif isinstance(given, str):
        known.text += given
    elif given is not None:
        known.whole = given


def _chat_usage(out: Meaning, data: dict[str, Any]) -> None:
    usage = data.get("usage") or (data.get("x_groq") or {}).get("usage")
    if not isinstance(usage, dict):
        return
    if usage.get("prompt_tokens") is not None:
        out.prompt = usage["prompt_tokens"]
        details = usage.get("prompt_tokens_details") or {}
        hits = (
            details.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("cached_tokens"),
        )
        out.cached = min(next((hit for hit in hits if hit), 0), out.prompt)  # xAI counts more than there are
        out.written = details.get("cache_write_tokens") or usage.get("cache_creation_input_tokens") or 0
    if usage.get("completion_tokens") is not None:
        out.output = usage["completion_tokens"]
        spent = usage.get("completion_tokens_details") or {}
        out.thought = spent.get("reasoning_tokens") or usage.get("reasoning_tokens")
        beside = (usage.get("total_tokens") or 0) - (out.prompt or 0) - out.output
        if beside > 0 and (beside == out.thought or not (out.thought or out.cached or out.written)):
            out.output += beside  # xAI and Gemini count thoughts so
