"""What Gemini's replies and requests say, irrespective of protocol: read by code that knows no translator (see
meaning.py, asking.py)."""

from __future__ import annotations

import json
from typing import Any

from tests.support.asking import Asking
from tests.support.meaning import Meaning, events

STOP = {"STOP": "end", "MAX_TOKENS": "length", "SAFETY": "refusal", "RECITATION": "refusal", "": ""}


def of_gemini(reply: dict[str, Any] | bytes) -> Meaning:
    """The meaning of a reply: a whole body, or a stream's bytes."""
    out = Meaning()
    for said in [reply] if isinstance(reply, dict) else [data for _, data in events(reply)]:
        if isinstance(said.get("error"), dict):
            out.failed, out.error = True, str(said["error"].get("message") or "")
            continue
        _usage(out, said.get("usageMetadata") or {})
        for candidate in said.get("candidates") or []:
            for part in (candidate.get("content") or {}).get("parts") or []:
                _part(out, part)
            out.stop = STOP[candidate["finishReason"]] if candidate.get("finishReason") else out.stop
            for chunk in (candidate.get("groundingMetadata") or {}).get("groundingChunks") or []:
                out.cited.append(chunk["web"]["uri"])
    return out.settled()


def _part(out: Meaning, part: dict[str, Any]) -> None:
    if "text" not in part:
        out.parted()
    if "functionCall" in part:
        given = part["functionCall"]["args"]
        given = given["_raw"] if given.keys() == {"_raw"} else given
        out.calls.append((part["functionCall"]["name"], given))
    elif part.get("thought"):
        out.thinking += part["text"]
    else:
        out.media += "inlineData" in part
        out.text += part.get("text", "")
    out.signed += "thoughtSignature" in part


def _usage(out: Meaning, used: dict[str, Any]) -> None:
    if used:
        out.prompt, out.cached = used.get("promptTokenCount"), used.get("cachedContentTokenCount", 0)
        out.output = used.get("candidatesTokenCount", 0) + used.get("thoughtsTokenCount", 0)


def asking_of(body: dict[str, Any]) -> Asking:
    """What a request asks."""
    out = Asking()
    for part in (body.get("systemInstruction") or {}).get("parts") or []:
        out.texts.append(("system", part.get("text", "")))
    for content in body["contents"]:
        role = "assistant" if content.get("role") == "model" else "user"
        for part in content["parts"]:
            if "functionCall" in part:
                out.calls.append((part["functionCall"]["name"], part["functionCall"]["args"]))
            elif "functionResponse" in part:
                said = part["functionResponse"]
                text = next(iter(said["response"].values()), "")
                out.results.append((said.get("id", ""), text if isinstance(text, str) else json.dumps(text)))
            elif "text" in part and not part.get("thought"):
                out.texts.append((role, part["text"]))
            elif "inlineData" in part:
                out.media.append(part["inlineData"]["data"])
            elif "fileData" in part:
                out.media.append(part["fileData"]["fileUri"])
    for tool in body.get("tools") or []:
        for each in tool.get("functionDeclarations") or []:
            out.tools[each["name"]] = None
    config = body.get("generationConfig") or {}
    out.max_tokens, out.temperature = config.get("maxOutputTokens"), config.get("temperature")
    out.top_p, out.stop = config.get("topP"), config.get("stopSequences") or []
    return out
