"""A conversation whose every turn another provider answers: what the client keeps of it goes to the next one.

`Wanderer(client, seed)` is a client that keeps each reply as it came, runs its calls and says something again. `turn`
lets a model of any protocol answer, at random: thoughts with a proof, words, pictures shown, calls at the same time,
whole or streamed. All that is said is a word that occurs nowhere else, so that `problems` sees what of it an upstream
gets, how often, and in which order.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

from tests.support import every_way, params, sdk_types
from translate import dialects, pair
from translate.target import Asked, Encoded, Protocol, Target

Json = dict[str, Any]

MODELS: dict[Protocol, str] = {
    "messages": "claude-sonnet-4-5", "chat": "gpt-4.1", "responses": "gpt-5.2", "gemini": "gemini-3-pro",
}  # fmt: skip
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
WORD = re.compile(r"\b[a-z]+w\d+w\b")
_PROOF = re.compile(r"(?:c2ln|PROOF)\d+")
_FEW = 3


class Wanderer:
    def __init__(self, client: Protocol, seed: int) -> None:
        self.client, self._random, self._numbers = client, random.Random(seed), itertools.count()
        self.history: list[Json] = []
        self.said: list[list[str]] = []  # words, in their order; those within one list may change places
        self.pictures = 0
        self.answers: dict[str, str] = {}  # the word in a call's arguments -> that in its result
        self.proofs: dict[str, Protocol] = {}  # who has given them
        self._calls: list[tuple[str, str]] = []  # (id, word) that wait for their results

    def __repr__(self) -> str:
        return f"<Wanderer {self.client}, {len(self.history)} messages>"

    def word(self, kind: str) -> str:
        return f"{kind}w{next(self._numbers)}w"

    # --------------------------------------------------------------------------------------------- client

    def ask(self) -> None:
        """The client gives the results of the calls, and says something where there are none, or at times besides. It
        may stop a call, so that one has no result, and a result may be a picture, too."""
        calls, self._calls = self._calls, []
        self._random.shuffle(calls)
        if calls and self._random.random() < 0.15:
            calls.pop()
        results = [(id, call, self.word("result")) for id, call in calls]
        self.answers |= {call: result for _, call, result in results}
        words = [self.word("user")] if not calls or self._random.random() < 0.3 else []
        picture, drawn = (bool(said) and self._random.random() < 0.3 for said in (words, calls))
        self.pictures += picture + drawn
        if results:
            self.said.append([result for *_, result in results])
        self.said += [[word] for word in words]
        self.history += _WRITES[self.client](results, words, picture, drawn)

    def body(self) -> Json:
        tools: dict[Protocol, Json] = {
            "messages": {"name": "f", "input_schema": SCHEMA},
            "chat": {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
            "responses": {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False},
            "gemini": {"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]},
        }
        key = {"responses": "input", "gemini": "contents"}.get(self.client, "messages")
        more = {"max_tokens": 9000} if self.client == "messages" else {}
        return {"model": "m", key: copy.deepcopy(self.history), "tools": [tools[self.client]]} | more

    def sent(self, upstream: Protocol) -> tuple[Json, list[str]]:
        """The request as the upstream gets it, and what was dropped of it."""
        body = self.body()
        if upstream == self.client:
            dialects.of(self.client).without_foreign(body)
            return body, []
        out: Encoded = pair.request(self.client, upstream, body, Target(MODELS[upstream]))
        return json.loads(out.json()), out.dropped

    # ------------------------------------------------------------------------------------------- upstream

    def turn(self, upstream: Protocol) -> list[str]:
        """A model answers. Returns what is wrong with its reply as the client gets it."""
        steps: list[tuple[str, str]] = []
        if self._random.random() < 0.6:
            steps.append(("thought", self.word("thought")))
        several = self._random.choice((0, 1, 1, _FEW))
        if not several or self._random.random() < 0.7:
            steps.append(("text", self.word("text")))
        calls = [self.word("call") for _ in range(several)]
        self.said += [[word] for kind, word in steps if kind == "text"] + ([calls] if calls else [])
        raw = json.dumps(self._reply(upstream, steps, calls)).encode()
        wrong: list[str] = []
        if upstream == self.client:
            reply = json.loads(raw)
        elif self._random.random() < 0.5:
            out = pair.Crossing(self.client, upstream, self._asked()).whole(raw)
            wrong, reply = every_way.against(self.client, out, False), json.loads(out)
        else:
            crossing = pair.Crossing(self.client, upstream, self._asked())
            crossing.record()
            out = crossing.whole_as_stream(raw)
            wrong, reply = every_way.against(self.client, out, True), crossing.recorded()
        if upstream != self.client and self.client != "gemini":
            wrong += sdk_types.body_problems(self.client, json.dumps(reply).encode())
        self._keep(reply, calls)
        return wrong

    def _asked(self) -> Asked:
        return Asked("m", f"k{next(self._numbers)}", include_usage=True, echo={"includeThoughts": True})

    def _proof(self, upstream: Protocol) -> str:
        proof = f"{'c2ln' if upstream == 'gemini' else 'PROOF'}{1000 + next(self._numbers)}"
        self.proofs[proof] = upstream
        return proof

    def _ids(self, upstream: Protocol, count: int) -> list[str]:
        """Servers count the calls of each reply, or of all, name the function, or give no id a second time."""
        forms = ("{upstream}_{n}", "call_{i}", "{n}", "functions.f:{i}", "{n}" + "x" * 70)
        form = self._random.choice(forms[:3] if upstream == "messages" else forms)
        return [form.format(upstream=upstream, n=next(self._numbers), i=i) for i in range(count)]

    def _reply(self, upstream: Protocol, steps: list[tuple[str, str]], calls: list[str]) -> Json:
        words = dict(steps)
        thought, text = words.get("thought", ""), words.get("text", "")
        made = list(zip(self._ids(upstream, len(calls)), ({"a": word} for word in calls), strict=True))
        signs = upstream != "chat" and bool(made if upstream == "gemini" else thought)
        proof = self._proof(upstream) if signs else ""
        return _SAYS[upstream](thought, text, made, proof, str(next(self._numbers)))

    def _keep(self, reply: Json, calls: list[str]) -> None:
        match self.client:
            case "messages":
                self.history.append({"role": "assistant", "content": reply["content"]})
            case "chat":
                self.history.append(reply["choices"][0]["message"])
            case "responses":
                self.history += reply["output"]
            case _:
                self.history.append(reply["candidates"][0]["content"])
        found = dict(_calls(self.client, self.history))
        self._calls = [(found[word], word) for word in calls if word in found]

    # -------------------------------------------------------------------------------------------- checks

    def problems(self, upstream: Protocol) -> list[str]:
        """What is wrong with the request that the upstream gets now."""
        body, dropped = self.sent(upstream)
        key = {"responses": "input", "gemini": "contents"}.get(upstream, "messages")
        history = body[key]
        text = json.dumps(history)
        found = params.CHECKS[upstream](body) if upstream in params.CHECKS and upstream != self.client else []
        met = [word for word in WORD.findall(text) if not word.startswith("thought")]
        place = {word: n for n, group in enumerate(self.said) for word in group}
        found += [f"{word} is there {met.count(word)} times" for word in place if met.count(word) != 1]
        if upstream != self.client or upstream in ("messages", "chat"):
            order = [place[word] for word in met if word in place]
            found += [f"the order is {met}"] if order != sorted(order) else []
        if (shown := text.count(PNG)) != self.pictures:
            found.append(f"{shown} pictures in place of {self.pictures}")
        if "~sealed" in text or "fnNlYWxlZC5" in text:
            found.append("a seal")
        for proof in _PROOF.findall(text):
            if self.proofs[proof] != upstream != self.client:  # Chat's clients have them in the open
                found.append(f"{upstream} gets a proof of {self.proofs[proof]}")
        for proof, giver in self.proofs.items():
            if giver == upstream and proof not in text:
                found.append(f"{upstream} does not get its {proof} back")
        calls, results = dict(_calls(upstream, history)), dict(_results(upstream, history))
        for call, result in self.answers.items():
            if calls.get(call) is None or results.get(result) != calls[call]:
                found.append(f"{call} is {calls.get(call)}, its result {result} is of {results.get(result)}")
        if upstream != self.client:
            if len(set(calls.values())) != len(calls):
                found.append("two calls under one id")
            asked, answered = set(calls.values()), set(_answered(upstream, history))
            found += [f"no result: {asked - answered}"] if asked - answered else []
        return found + [f"dropped {name}" for name in dropped if not _is_thought(name)]


def _is_thought(name: str) -> bool:
    return name == "extra_content" or "reason" in name or "think" in name or "thought" in name


# ------------------------------------------------------------------------------------ in each upstream's form

Made = list[tuple[str, Json]]
"""Of each call the id and the arguments."""


def _by_messages(thought: str, text: str, made: Made, proof: str, key: str) -> Json:
    said: list[Json] = [{"type": "thinking", "thinking": thought, "signature": proof}] if thought else []
    said += [{"type": "text", "text": text}] if text else []
    said += [{"type": "tool_use", "id": id, "name": "f", "input": given} for id, given in made]
    return {
        "id": f"msg_{key}", "type": "message", "role": "assistant", "model": "m", "content": said,
        "stop_reason": "tool_use" if made else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def _by_chat(thought: str, text: str, made: Made, proof: str, key: str) -> Json:
    functions = [(id, {"name": "f", "arguments": json.dumps(given)}) for id, given in made]
    calls = [{"id": id, "type": "function", "function": function} for id, function in functions]
    message: Json = {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})
    message |= {"reasoning_content": thought} if thought else {}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {"id": f"chatcmpl-{key}", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def _by_responses(thought: str, text: str, made: Made, proof: str, key: str) -> Json:
    summary = [{"type": "summary_text", "text": thought}]
    items: list[Json] = []
    if thought:
        items.append({"type": "reasoning", "id": f"rs_{key}", "summary": summary, "encrypted_content": proof})
    if text:
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        about = {"id": f"msg_{key}", "role": "assistant", "status": "completed"}
        items.append({"type": "message", **about, "content": content})
    for n, (id, given) in enumerate(made):
        about = {"id": f"fc_{key}_{n}", "call_id": id, "status": "completed"}
        items.append({"type": "function_call", **about, "name": "f", "arguments": json.dumps(given)})
    return {
        "id": f"resp_{key}", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None,
        "output": items, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto",
    }  # fmt: skip


def _by_gemini(thought: str, text: str, made: Made, proof: str, key: str) -> Json:
    """Google signs the first call."""
    parts: list[Json] = [{"text": thought, "thought": True}] if thought else []
    parts += [{"text": text}] if text else []
    calls: list[Json] = [{"functionCall": {"id": id, "name": "f", "args": given}} for id, given in made]
    for call in calls[:1]:
        call["thoughtSignature"] = proof
    candidate = {"content": {"role": "model", "parts": parts + calls}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": key}


_SAYS = {"messages": _by_messages, "chat": _by_chat, "responses": _by_responses, "gemini": _by_gemini}


# ------------------------------------------------------------------------------------ in each client's form


Results = list[tuple[str, str, str]]
"""Of each result the id, the word of its call and its own."""


def _of_messages(results: Results, words: list[str], picture: bool, drawn: bool) -> list[Json]:
    """picture: stands beside the words. drawn: the first result has one, too."""
    shown: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    blocks: list[Json] = []
    for n, (id, _, said) in enumerate(results):
        content = [{"type": "text", "text": said}, shown] if drawn and not n else said
        blocks.append({"type": "tool_result", "tool_use_id": id, "content": content})
    blocks += [{"type": "text", "text": word} for word in words] + ([shown] if picture else [])
    return [{"role": "user", "content": blocks}]


def _of_chat(results: Results, words: list[str], picture: bool, drawn: bool) -> list[Json]:
    """Only the user's messages have room for pictures."""
    out: list[Json] = [{"role": "tool", "tool_call_id": id, "content": said} for id, _, said in results]
    shown: Json = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    parts: list[Json] = [{"type": "text", "text": word} for word in words] + [shown] * (picture + drawn)
    return out + ([{"role": "user", "content": parts}] if parts else [])


def _of_responses(results: Results, words: list[str], picture: bool, drawn: bool) -> list[Json]:
    shown: Json = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    out: list[Json] = []
    for n, (id, _, said) in enumerate(results):
        output = [{"type": "input_text", "text": said}, shown] if drawn and not n else said
        out.append({"type": "function_call_output", "call_id": id, "output": output})
    parts: list[Json] = [{"type": "input_text", "text": word} for word in words] + ([shown] if picture else [])
    return out + ([{"role": "user", "content": parts}] if parts else [])


def _of_gemini(results: Results, words: list[str], picture: bool, drawn: bool) -> list[Json]:
    shown: Json = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    parts: list[Json] = []
    for n, (id, _, said) in enumerate(results):
        beside = {"parts": [shown]} if drawn and not n else {}
        parts.append({"functionResponse": {"id": id, "name": "f", "response": {"output": said}, **beside}})
    parts += [{"text": word} for word in words] + ([shown] if picture else [])
    return [{"role": "user", "parts": parts}]


_WRITES = {"messages": _of_messages, "chat": _of_chat, "responses": _of_responses, "gemini": _of_gemini}


def _pieces(protocol: Protocol, history: list[Json]) -> Iterator[Json]:
    for item in history:
        content = item.get("parts" if protocol == "gemini" else "content")
        if protocol == "chat":
            yield from item.get("tool_calls") or ()
        if protocol in ("messages", "gemini") and isinstance(content, list):
            yield from content
        yield item


def _calls(protocol: Protocol, history: list[Json]) -> Iterator[tuple[str, str]]:
    """Yields (the word in a call's arguments, its id)."""
    for piece in _pieces(protocol, history):
        made = piece.get("functionCall") if protocol == "gemini" else piece.get("function") or piece
        given = made and (made.get("args") or made.get("arguments") or made.get("input"))
        if made and given and (word := WORD.search(json.dumps(given))):
            yield word[0], str(made.get("id") if protocol == "gemini" else piece.get("call_id") or piece.get("id"))


def _results(protocol: Protocol, history: list[Json]) -> Iterator[tuple[str, str]]:
    """Yields (the word in a result, the id of its call)."""
    for id, said in _given(protocol, history):
        yield from ((word, id) for word in WORD.findall(json.dumps(said)) if word.startswith("result"))


def _answered(protocol: Protocol, history: list[Json]) -> Iterator[str]:
    yield from (id for id, _ in _given(protocol, history))


def _given(protocol: Protocol, history: list[Json]) -> Iterator[tuple[str, Any]]:
    """Yields (the id of a call, what has come of it)."""
    for piece in _pieces(protocol, history):
        match piece:
            case {"functionResponse": {"id": id, "response": said}}:
                yield id, said
            case {"tool_use_id": id, "content": said} | {"tool_call_id": id, "content": said}:
                yield id, said
            case {"type": "function_call_output", "call_id": id, "output": said}:
                yield id, said
