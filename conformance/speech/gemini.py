"""Google's Gemini API, as the kit speaks it. The model and the wish for a stream stand in the address."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from conformance import sdk_types
from conformance.grammar import check_gemini
from conformance.grammar.framing import events
from conformance.grammar.gemini import error_problems
from conformance.speech.base import (
    SIDE,
    TOOL,
    TOOL_WORDS,
    WEATHER,
    Body,
    Call,
    Said,
    Speech,
    Stop,
    as_object,
    count,
    objects,
    parsed,
    total,
)

STOPS: dict[str, Stop] = {"STOP": "end", "MAX_TOKENS": "length", "SAFETY": "other"}
CITY = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
MOST = 512


class Gemini(Speech):
    name = "gemini"
    path = "/v1beta/models/{model}:{verb}"
    root = "/v1beta"
    types = sdk_types.of("gemini")
    history = "contents"
    count_path = "/v1beta/models/{model}:countTokens"
    count_field = "totalTokens"
    sdk_final = ""  # the SDK puts nothing together, and has methods of other names
    forced: ClassVar[Any] = {"functionCallingConfig": {"mode": "ANY"}}
    unforced: ClassVar[Any] = {"functionCallingConfig": {"mode": "AUTO"}}

    def headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def addressed(self, model: str, body: Any) -> tuple[str, Any]:
        streams = False
        if isinstance(body, dict):
            renamed = {"tool_choice": "toolConfig"}
            model, streams = str(body.get("model", model)), body.get("stream") is True
            body = {renamed.get(key, key): value for key, value in body.items() if key not in ("model", "stream")}
        verb = "streamGenerateContent?alt=sse" if streams else "generateContent"
        return self.path.format(model=quote(model, safe=""), verb=verb), body

    def asking(self, model: str, words: str, most: int) -> Body:
        contents = [{"role": "user", "parts": [{"text": words}]}]
        return {"model": model, "contents": contents, "generationConfig": {"maxOutputTokens": most}}

    def tool(self) -> Body:
        return {"functionDeclarations": [{"name": TOOL, "description": TOOL_WORDS, "parameters": CITY}]}

    def called(self, cities: tuple[str, ...]) -> list[Body]:
        calls = [{"functionCall": {"name": TOOL, "args": {"city": city}}} for city in cities]
        results = [{"functionResponse": {"name": TOOL, "response": {"output": f"Sunny in {city}."}}} for city in cities]
        question = {"role": "user", "parts": [{"text": WEATHER.format(" and in ".join(cities))}]}
        return [question, {"role": "model", "parts": calls}, {"role": "user", "parts": results}]

    def picture(self, words: str, png: str) -> list[Body]:
        image = {"inlineData": {"mimeType": "image/png", "data": png}}
        return [{"role": "user", "parts": [{"text": words}, image]}]

    def schema(self) -> Body:
        wanted = {"responseMimeType": "application/json", "responseJsonSchema": SIDE, "maxOutputTokens": MOST}
        return {"generationConfig": wanted}

    def stop_at(self, words: str) -> Body:
        return {"generationConfig": {"stopSequences": [words], "maxOutputTokens": MOST}}

    def read(self, reply: Any) -> Said:
        candidate = next(iter(objects(as_object(reply).get("candidates"))), {})
        said = Said(stop_word=str(candidate.get("finishReason")))
        for part in objects(as_object(candidate.get("content")).get("parts")):
            if "functionCall" in part:
                call = as_object(part["functionCall"])
                arguments = call.get("args")
                known = arguments if isinstance(arguments, dict) else None
                said.calls.append(Call(str(call.get("id") or ""), str(call.get("name")), known))
            elif not part.get("thought"):
                said.text += str(part.get("text") or "")
        stop = STOPS.get(said.stop_word, "")
        said.stop = "tool" if said.calls and stop == "end" else stop
        usage = as_object(as_object(reply).get("usageMetadata"))
        said.tokens_in = count(usage.get("promptTokenCount"))
        said.tokens_out = total(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount"))
        return said

    def read_stream(self, raw: bytes) -> Said:
        parts: list[Any] = []
        whole: dict[str, Any] = {"content": {"parts": parts}}
        usage: Any = None
        for _, data in events(raw, [], house=False):
            event = parsed(data)
            usage = event.get("usageMetadata") or usage
            for candidate in objects(event.get("candidates"))[:1]:
                parts += objects(as_object(candidate.get("content")).get("parts"))
                whole["finishReason"] = candidate.get("finishReason") or whole.get("finishReason")
        return self.read({"candidates": [whole], "usageMetadata": usage})

    def stream_problems(self, raw: bytes, usage: bool | None) -> list[str]:
        return check_gemini(raw, house=False)

    def error_problems(self, error: Any) -> list[str]:
        return error_problems(error)

    def model_problems(self, listed: Any) -> list[str]:
        models = as_object(listed).get("models")
        if not isinstance(models, list) or not models:
            return ["the list of models is no {'models': [...]}, or empty"]
        first = as_object(models[0])
        found = [] if str(first.get("name")).startswith("models/") else [f"a model's name is {first.get('name')!r}"]
        ways = first.get("supportedGenerationMethods")
        return found + ([] if isinstance(ways, list) else [f"a model's supportedGenerationMethods is {ways!r}"])

    def model_names(self, listed: Any) -> list[str]:
        return [str(each.get("name")).removeprefix("models/") for each in objects(as_object(listed).get("models"))]
