"""The grammar of a Gemini stream: each event a GenerateContentResponse, the last one with a finish reason; or an error.

Source: ai.google.dev, API reference "GenerateContentResponse"; google-genai's types, and what its stream reader takes:
lines that are no data break it, so that not even a comment is legal.
"""

from __future__ import annotations

import json
from typing import Any

from conformance.grammar.framing import as_object, is_count

FINISH = {
    "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
    "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER", "NO_IMAGE",
    "IMAGE_RECITATION", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE", "ESCALATION", "PUP_LIMITED_DISABLED", "CONTINUATION", "MODEL_ARMOR",
}  # fmt: skip
CONTENT = {
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse", "audioTranscription",
}  # fmt: skip
COUNTS = ("promptTokenCount", "candidatesTokenCount", "totalTokenCount", "thoughtsTokenCount",
          "cachedContentTokenCount", "toolUsePromptTokenCount")  # fmt: skip
STATUS = {
    "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND",
    "ABORTED", "ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "CANCELLED", "DATA_LOSS", "UNKNOWN", "INTERNAL",
    "UNIMPLEMENTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
}  # fmt: skip


class Gemini:
    """One stream: what is wrong with it stands in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._finished = self._failed = self._said = False
        self._same: dict[str, Any] = {}

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def event(self, name: str | None, data: str) -> None:
        if name is not None:
            self.say(f"framing: a named event {name!r}")
        if self._failed:
            return self.say(f"order: data after the error: {data[:60]!r}")
        try:
            said = json.loads(data)
        except ValueError:
            return self.say(f"data: not JSON: {data[:60]!r}")
        if not isinstance(said, dict):
            return self.say(f"data: not an object: {data[:60]!r}")
        if "error" in said:
            self._failed = True
            self.problems += error_problems(said)
            return None
        self._reply(said)
        return None

    def end(self) -> None:
        if not self._finished and not self._failed:
            self.say("order: the stream has no end (neither a finishReason nor an error)")

    def _reply(self, said: dict[str, Any]) -> None:
        for key in ("modelVersion", "responseId"):
            if self._same.setdefault(key, said.get(key)) != said.get(key):
                self.say(f"event: {key} changes")
        self.problems += usage_problems(said.get("usageMetadata"))
        if as_object(said.get("promptFeedback")).get("blockReason"):
            self._finished = True
        candidates = said.get("candidates", [])
        if not isinstance(candidates, list):
            return self.say("event: candidates is no list")
        for candidate in candidates:
            self._candidate(as_object(candidate))

    def _candidate(self, candidate: dict[str, Any]) -> None:
        if self._finished and as_object(candidate.get("content")).get("parts"):
            self.say("order: content after the finishReason")
        self.problems += content_problems(candidate.get("content"))
        finish = candidate.get("finishReason")
        if finish is not None:
            self._finished = True
            if finish not in FINISH:
                self.say(f"candidate: finishReason is {finish!r}")


def body_problems(said: Any) -> list[str]:
    """Problems of a whole reply."""
    checker = Gemini()
    checker.event(None, json.dumps(said))
    checker.end()
    return checker.problems


def content_problems(content: Any) -> list[str]:
    if content is None:
        return []
    content = as_object(content)
    found = [] if content.get("role", "model") == "model" else [f"content: role is {content.get('role')!r}"]
    for part in content.get("parts") or []:
        kinds = CONTENT & as_object(part).keys()
        if len(kinds) != 1:
            found.append(f"part: it holds {sorted(kinds) or 'nothing'}")
        elif "text" in kinds and not isinstance(part["text"], str):
            found.append("part: text is no string")
        elif "functionCall" in kinds:
            call = as_object(part["functionCall"])
            if not isinstance(call.get("name"), str) or not call["name"]:
                found.append("part: a functionCall without a name")
            if not isinstance(call.get("args", {}), dict):
                found.append("part: args of a functionCall is no object")
    return found


def usage_problems(usage: Any) -> list[str]:
    if usage is None:
        return []
    usage = as_object(usage)
    found = [f"usageMetadata.{key} is {usage[key]!r}" for key in COUNTS if key in usage and not is_count(usage[key])]
    if "totalTokenCount" not in usage:
        found.append("usageMetadata has no totalTokenCount")
    return found


def error_problems(said: Any) -> list[str]:
    """Google's errors, whole and in a stream."""
    error = as_object(as_object(said).get("error"))
    if not error:
        return ["the error is no {'error': {...}}"]
    found = [] if is_count(error.get("code")) else [f"error.code is {error.get('code')!r}"]
    if not isinstance(error.get("message"), str) or not error["message"]:
        found.append(f"error.message is {error.get('message')!r}")
    if error.get("status") not in STATUS:
        found.append(f"error.status is {error.get('status')!r}")
    return found
