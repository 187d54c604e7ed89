"""What a Responses reply says: the third reader of meanings (see meaning.py, whose words these are).

Read from the items as they end; where a stream's item never ends, nothing of it counts, and where no item event
tells of one, the terminal response does.
"""

from __future__ import annotations

from typing import Any

from tests.support.meaning import Meaning, arguments, cited_by, events
from translate.reasoning import sealed_reasoning

STOP = {"max_output_tokens": "length", "content_filter": "refusal"}
RUN_BY_XAI = "xs_call_"


def of_responses(reply: dict[str, Any] | bytes) -> Meaning:
    """The meaning of a whole body, or of a stream's bytes."""
    return _body(reply) if isinstance(reply, dict) else _stream(reply)


def _body(reply: dict[str, Any], items: list[dict[str, Any]] | None = None) -> Meaning:
    error = reply.get("error")
    if error:
        return Meaning(failed=True, error=str(error.get("message") if isinstance(error, dict) else error))
    if reply.get("status") in ("failed", "cancelled", "queued", "in_progress"):
        return Meaning(failed=True, error=str(reply["status"]))
    out = Meaning(stop="end")
    for item in items or reply.get("output") or []:
        _item(out, item)
    if reply.get("status") == "incomplete":
        out.stop = STOP.get((reply.get("incomplete_details") or {}).get("reason"), "length")
    usage = reply.get("usage")
    if isinstance(usage, dict):
        out.prompt, out.output = usage.get("input_tokens"), usage.get("output_tokens")
        details = usage.get("input_tokens_details") or {}
        out.cached, out.written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
        out.thought = (usage.get("output_tokens_details") or {}).get("reasoning_tokens")
    out.beside |= {key for key in ("moderation",) if reply.get(key)}
    return out.settled() if out.stop != "refusal" else out


def _item(out: Meaning, item: dict[str, Any]) -> None:
    kind = item.get("type")
    if kind != "reasoning":
        out.parted()
    if kind == "message":
        for part in item.get("content") or []:
            out.text += part.get("text") or part.get("refusal") or ""
            if part.get("type") == "refusal":
                out.stop = "refusal"
            for note in part.get("annotations") or []:
                cited_by(out, note)
            if part.get("logprobs"):
                out.beside.add("logprobs")
    elif kind == "web_search_call":
        action = item.get("action") or {}
        out.searched.append(str(action.get("query") or action.get("url")))
        if action.get("sources"):
            out.beside.add("results of web_search")
    elif kind == "reasoning":
        said = "".join(part.get("text") or "" for part in item.get("content") or [])
        out.thinking += said or "\n\n".join(part.get("text") or "" for part in item.get("summary") or [])
        if proof := item.get("encrypted_content"):
            is_beside = sealed_reasoning.is_of_extra(sealed_reasoning.thinking_in(proof, "", "").encrypted)
            out.beside |= {"extra_content"} if is_beside else set()
            out.opaque += not is_beside
    elif kind == "custom_tool_call" and not str(item.get("call_id")).startswith(RUN_BY_XAI):
        out.calls.append((item.get("name") or "", {"input": item.get("input") or ""}))
    elif kind == "function_call":
        out.calls.append((item.get("name") or "", arguments(item.get("arguments"))))
    elif kind == "image_generation_call" and item.get("result"):
        out.media += 1
    else:
        out.media += sum(bool(each.get("url")) for each in item.get("outputs") or [])
        out.foreign.add(str(kind))


def _stream(raw: bytes) -> Meaning:
    done: dict[Any, dict[str, Any]] = {}
    for _, data in events(raw):
        kind = data.get("type") if isinstance(data, dict) else ""
        if kind == "error":
            error = data.get("error") or data
            return Meaning(failed=True, error=str(error.get("message")))
        if kind == "response.output_item.done":
            done[data.get("output_index", len(done))] = data["item"]
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            failed = kind == "response.failed"
            out = _body(data["response"], list(done.values()))
            if failed:
                for item in done.values():
                    _item(out, item)
                out.stop = ""
            return out
    return Meaning(failed=True, error="the stream has no end")
