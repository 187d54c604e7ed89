"""A Chat client's request as a Conversation.

Only requests that cross come here: a Chat upstream gets a Chat client's bytes unchanged. So everything that no other
protocol can do is refused: several answers to one question (n). Fields without a neutral word stay in ext["chat"] under
their own names, for the encoder to report as dropped; ext["chat"] is there even if empty, which tells the origin. Many
spellings of one wish (how much to think has six) become one.
"""

from __future__ import annotations

from typing import Any

from translate import recurring
from translate.chat import foreign_blocks
from translate.chat.decode_messages import decode_messages
from translate.chat.words import WORDS
from translate.conversation import (
    Conversation,
    OutputFormat,
    Purpose,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from translate.failures import problems
from translate.fields.leftovers import CACHE_CONTROL, mistyped, note_mark, note_within, split_openai
from translate.json.json_fields import count_of, flag_of, list_of, object_of, text_of
from translate.reasoning import effort

_REASONING = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget")
_MAPPED = frozenset(
    (
        "model", "messages", "stream", "n",
        "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "top_k", "seed",
        "frequency_penalty", "presence_penalty",
        "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls",
        "user", "prompt_cache_key",
        *_REASONING,
    )
)  # fmt: skip

_TYPES = {
    "user": str, "safety_identifier": str, "prompt_cache_key": str, "parallel_tool_calls": bool,
    "reasoning_effort": str, "enable_thinking": bool,
}  # fmt: skip
_REASONING_KEYS = {
    "reasoning": ("effort", "max_tokens", "enabled", "exclude"),
    "thinking": ("type", "budget_tokens"),
}

_CHOICES = {
    "tool_choice": frozenset((
        "type", "function", "custom", "allowed_tools", "name", "mode", "tools", "disable_parallel_tool_use",
    )),
    "function_call": frozenset(("name",)),
}  # fmt: skip
_CHOSEN = ("name", "mode", "tools")
_FORMAT = ("type", "name", "description", "schema", "strict")
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))
_MARKED = frozenset((CACHE_CONTROL,))
_GRAMMAR = ("type", "grammar", "syntax", "definition")
_CUSTOM = frozenset(("name", "description", "format"))

_NO_LIMIT = (-1, -2, 0)  # what clients of LM Studio, llama.cpp and Ollama say for none
_SEARCHES = ("web_search_options", "openrouter:web_search")


def decode(body: dict[str, Any]) -> Conversation:
    """Reads a Chat request. Raises BadRequest naming the field; its param is in OpenAI's form,
    `messages[1].tool_call_id`."""
    model = body.get("model") or ""  # Azure's clients name it in the path alone
    if not isinstance(model, str):
        raise problems.wrong_type("model", "a string", model)
    if (n := body.get("n")) is not None and n != 1:
        raise problems.invalid("n", "only 1 is supported for this model, whose upstream speaks another protocol")
    system, turns = decode_messages(body.get("messages"))
    given = {key: value for key, value in body.items() if value is not None}
    tools = _tools(given)
    choice = _tool_choice(given)
    return Conversation(
        model=model,
        turns=turns,
        system=system,
        tools=_allowed(tools, given),
        tool_choice=choice,
        parallel_tools=_parallel_tools(given),
        sampling=_sampling(given),
        max_tokens=_max_tokens(given),
        output=_output(given),
        reasoning=_reasoning(given),
        user=text_of(given, "user") or text_of(given, "safety_identifier"),
        cache_key=text_of(given, "prompt_cache_key"),
        service_tier=text_of(given, "service_tier"),
        verbosity=text_of(given, "verbosity"),
        stream=bool(given.get("stream")),
        ext=split_openai(_leftovers(given), "chat") | _form(given) | _within(given),
        words=WORDS,
        one_call=bool(given.get("functions")) and not given.get("tools"),
        pictures="modalities" in given and "image" in list_of(given, "modalities"),
        free_text=any(tool.kind == "custom" for tool in tools),
    )


def _form(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns how the wish for reasoning was worded, for a Chat upstream."""
    said = {key: given[key] for key in _REASONING if key in given}
    return {"chat.form": {"reasoning": said}} if said else {}


def _within(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns what the choice of a tool and the form of the answer say besides what is read of them."""
    ext: dict[str, dict[str, Any]] = {}
    for field, known in _CHOICES.items():
        if isinstance(said := given.get(field), dict):
            note_within(said, field, known, ext)
            for inner in known & said.keys():
                if isinstance(deeper := said[inner], dict):
                    note_within(deeper, f"{field}.{inner}", _CHOSEN, ext)
    if _output(given) is not None:
        said = given["response_format"]
        own = _FORMAT if isinstance(said.get("schema"), dict) else ("type", "json_schema")
        note_within(said, "response_format", own, ext)
        note_within(object_of(said, "json_schema"), "response_format.json_schema", _FORMAT, ext)
    return ext


def _leftovers(given: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in given.items() if key not in _MAPPED}
    if _output(given) is not None or object_of(rest, "response_format").get("type") == "text":
        del rest["response_format"]
    if isinstance(rest.get("web_search_options"), dict):  # a tool
        del rest["web_search_options"]
    for field in ("service_tier", "verbosity"):
        if text_of(given, field):
            del rest[field]
    if "user" not in given:
        rest.pop("safety_identifier", None)
    if "stream_options" in rest:  # include_usage is the reply encoder's to honour
        options = {k: v for k, v in object_of(rest, "stream_options").items() if k != "include_usage"}
        rest["stream_options"] = options
        if not options:
            del rest["stream_options"]
    rest |= mistyped(given, _TYPES)
    for field, known in _REASONING_KEYS.items():
        if left := {key: value for key, value in object_of(given, field).items() if key not in known}:
            rest[field] = left
    return rest


# --------------------------------------------------------------------------------------------------- tools


def _tools(given: dict[str, Any]) -> list[Tool]:
    tools = _list(given, "tools")
    read: set[int] = set()
    found = [recurring.one(raw, _tool, f"tools[{i}]", read) for i, raw in enumerate(tools)]
    for i, raw in enumerate(_list(given, "functions")):
        path = f"functions[{i}]"
        if not isinstance(raw, dict):
            raise problems.wrong_type(path, "an object", raw)
        found.append(_function(raw, path, "functions"))
    if isinstance(given.get("web_search_options"), dict):
        raw = {"type": "web_search_options", "web_search_options": given["web_search_options"]}
        found.append(Tool("web_search", kind="server", protocol="chat", raw=raw, purpose="web_search"))
    return found


def _tool(raw: Any, path: str) -> Tool:
    if not isinstance(raw, dict):
        raise problems.wrong_type(path, "an object", raw)
    if "input_schema" in raw and "function" not in raw:
        raw = foreign_blocks.tool(raw)
    kind = raw.get("type", "function" if "function" in raw else None)
    if not isinstance(kind, str):
        raise problems.missing(f"{path}.type")
    if kind not in ("function", "custom"):
        name = text_of(raw, "name") or kind
        purpose: Purpose = "web_search" if kind in _SEARCHES else ""
        return Tool(name, kind="server", protocol="chat", raw=raw, purpose=purpose)
    function = raw.get(kind)
    if function is None and "name" in raw:  # as Responses has it; Cursor's questions mix both
        function, raw = {key: value for key, value in raw.items() if key != "type"}, {}
    if not isinstance(function, dict):
        raise problems.missing(f"{path}.{kind}")
    tool = _function(function, f"{path}.{kind}", kind)
    if kind == "custom":
        tool.kind, tool.raw = "custom", _format(function)
        form = object_of(function, "format")
        note_within(form, "custom.format", _GRAMMAR, tool.ext)
        note_within(object_of(form, "grammar"), "custom.format.grammar", _GRAMMAR, tool.ext)
    if rest := {key: value for key, value in raw.items() if key not in ("type", kind)}:
        tool.ext["chat"] = rest
    for marked in (function, raw):  # the latter's counts
        if CACHE_CONTROL in marked:
            note_mark(marked, CACHE_CONTROL, tool.ext)
    return tool


def _format(custom: dict[str, Any]) -> dict[str, Any]:
    """Returns a custom tool's format in the neutral shape: a grammar's own fields beside its type."""
    format = object_of(custom, "format")
    is_nested = format.get("type") == "grammar" and "grammar" in format
    return {"type": "grammar", **object_of(format, "grammar")} if is_nested else format


def _function(raw: dict[str, Any], path: str, where: str) -> Tool:
    """where: the field that it is in."""
    if not (name := text_of(raw, "name")):
        raise problems.missing(f"{path}.name")
    schema = raw.get("parameters")
    if schema is not None and not isinstance(schema, dict):
        raise problems.wrong_type(f"{path}.parameters", "an object", schema)
    tool = Tool(name, text_of(raw, "description"), schema, flag_of(raw, "strict"))
    known = _CUSTOM if where == "custom" else _FUNCTION
    if not raw.keys() <= known:
        note_within(raw, where, known | _MARKED, tool.ext)
    return tool


def _tool_choice(given: dict[str, Any]) -> ToolChoice | None:
    choice = given.get("tool_choice", given.get("function_call"))
    if choice is None:
        return None
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            mode = _of_allowed(choice).get("mode")
            return ToolChoice("any" if mode == "required" else "auto")
        named = object_of(choice, "function") or object_of(choice, "custom") or choice
        if name := text_of(named, "name"):
            return ToolChoice("tool", name)
        if (mode := choice.get("type")) in ("auto", "any", "none"):  # as Messages says it
            return ToolChoice(mode)
        raise problems.missing("tool_choice.function.name")
    if choice in ("auto", "none", "any"):
        return ToolChoice(choice)
    if choice == "required":
        return ToolChoice("any")
    raise problems.invalid("tool_choice", f"{choice!r} is none of 'none', 'auto' and 'required'")


def _parallel_tools(given: dict[str, Any]) -> bool | None:
    """Returns whether several calls may be made at once. Messages says the opposite of it, within tool_choice."""
    said, choice = given.get("parallel_tool_calls"), given.get("tool_choice")
    if isinstance(said, bool):
        return said
    disabled = flag_of(choice, "disable_parallel_tool_use") if isinstance(choice, dict) else None
    return None if disabled is None else not disabled


def _allowed(tools: list[Tool], given: dict[str, Any]) -> list[Tool]:
    """Returns the tools that tool_choice allowed_tools leaves. The others are not offered, which comes to the same."""
    choice = given.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return tools
    names = set()
    for raw in list_of(_of_allowed(choice), "tools"):
        if isinstance(raw, dict):
            kind = text_of(raw, "type")
            names.add(text_of(object_of(raw, kind) or raw, "name") or kind)
    return [tool for tool in tools if tool.name in names]


def _of_allowed(choice: dict[str, Any]) -> dict[str, Any]:
    """Returns mode and tools of allowed_tools; some servers' documents have them as in Responses, beside the type."""
    return object_of(choice, "allowed_tools") or choice


# ------------------------------------------------------------------------------------------ limits, output


def _max_tokens(given: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):  # LangChain writes the first one, whatever the server
        if given.get(name) not in _NO_LIMIT and (limit := problems.limit_of(given, name)) is not None:
            return limit
    return None


def _sampling(given: dict[str, Any]) -> Sampling:
    stop = given.get("stop", [])
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop):
        raise problems.wrong_type("stop", "a string or an array of strings", given["stop"])
    return Sampling(
        temperature=problems.number_of(given, "temperature"),
        top_p=problems.number_of(given, "top_p"),
        top_k=_whole(given, "top_k"),
        stop=[item for item in stop if item],
        seed=_whole(given, "seed"),
        frequency_penalty=problems.number_of(given, "frequency_penalty"),
        presence_penalty=problems.number_of(given, "presence_penalty"),
        logprobs=count_of(given, "top_logprobs") if given.get("logprobs") is True else None,
    )


def _output(given: dict[str, Any]) -> OutputFormat | None:
    """Returns None for plain text, and for formats that only some servers know: those stay in ext."""
    wanted = given.get("response_format")
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise problems.wrong_type("response_format", "an object", wanted)
    has_schema = isinstance(wanted.get("schema"), dict)  # as llama.cpp, Together and Fireworks have it
    if wanted.get("type") == "json_object" and not has_schema:
        return OutputFormat("json_object")
    if wanted.get("type") not in ("json_schema", "json_object"):
        return None
    raw = wanted if has_schema else wanted.get("json_schema")
    if not isinstance(raw, dict):
        raise problems.missing("response_format.json_schema")
    schema = raw.get("schema")
    if schema is not None and not isinstance(schema, dict):
        raise problems.wrong_type("response_format.json_schema.schema", "an object", schema)
    name, description, strict = text_of(raw, "name"), text_of(raw, "description"), flag_of(raw, "strict")
    return OutputFormat("json_schema", schema, name, description, strict)


# ------------------------------------------------------------------------------------------------ reasoning


def _reasoning(given: dict[str, Any]) -> Reasoning:
    """Reads the wish for reasoning. OpenAI says it as reasoning_effort, OpenRouter as reasoning, z.ai and Moonshot as
    thinking, Qwen as enable_thinking and thinking_budget. An effort of "none" is a no."""
    wanted = Reasoning(effort=effort.said(text_of(given, "reasoning_effort")))
    if isinstance(router := given.get("reasoning"), dict):
        wanted.enabled = flag_of(router, "enabled")
        wanted.effort = wanted.effort or effort.said(text_of(router, "effort"))
        wanted.budget = _whole(router, "max_tokens") or 0
        if router.get("exclude") is True:
            wanted.display = "omitted"
    if isinstance(thinking := given.get("thinking"), dict):
        kind = thinking.get("type")
        wanted.enabled = {"enabled": True, "disabled": False}.get(str(kind), True)
        wanted.adaptive = kind in ("auto", "adaptive")
        wanted.budget = _whole(thinking, "budget_tokens") or wanted.budget
    elif isinstance(flag := given.get("enable_thinking", given.get("thinking")), bool):
        wanted.enabled = flag
    wanted.budget = _whole(given, "thinking_budget") or wanted.budget
    if wanted.effort == "none":
        wanted.enabled = False
    elif wanted.effort or wanted.budget:
        wanted.enabled = wanted.enabled is not False
    return wanted


# --------------------------------------------------------------------------------------------------- values


def _list(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise problems.wrong_type(key, "an array of objects", value)
    return value


def _whole(raw: dict[str, Any], key: str) -> int | None:
    value = problems.number_of(raw, key)
    return None if value is None else int(value)
