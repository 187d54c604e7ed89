"""A provider's own tools before other providers: what is offered, what comes back, what of the history crosses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response

from translate import pair
from translate.conversation import Close, Delta, Event, Fault, Open, Ping, Stop, Text, ToolCall, Unknown
from translate.failures.errors import ApiError
from translate.target import Asked, Encoded, Form, Policy, Protocol, Target
from translate.tools.provider_tools import NativeCalls

Json = dict[str, Any]

OTHERS: dict[Protocol, tuple[Protocol, Protocol]] = {
    "messages": ("chat", "responses"),
    "responses": ("messages", "chat"),
}


def ask(client: Protocol, upstream: Protocol, policy: Policy = Policy(), **more: Any) -> Encoded:
    body: Json = {"model": "m", "input": "hi"} if client == "responses" else {
        "model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}],
    }  # fmt: skip
    return pair.request(client, upstream, body | more, Target("up", policy))


def offered(encoded: Encoded) -> dict[str, Json]:
    """name -> {"description", "parameters"}, whatever the protocol."""
    found = {}
    for tool in encoded.body.get("tools", []):  # type: ignore[attr-defined]
        function = tool.get("function", tool)
        schema = function.get("parameters") or function.get("input_schema")
        found[function["name"]] = {"about": function.get("description", ""), "schema": schema}
    return found


def asked(encoded: Encoded, key: str = "k", **more: Any) -> Asked:
    return Asked("m", key, 1_700_000_000, 1, encoded.tool_names, forms=encoded.forms, search=encoded.search, **more)


def called(upstream: Protocol, name: str, arguments: str, id: str = "call_1") -> Json:
    """A whole reply that calls a function."""
    if upstream == "messages":
        use = {"type": "tool_use", "id": id, "name": name, "input": json.loads(arguments)}
        return {"type": "message", "content": [use], "stop_reason": "tool_use", "usage": {}}
    if upstream == "chat":
        call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        return {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    item = {"type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments}
    return {"object": "response", "status": "completed", "output": [item]}


def back(client: Protocol, upstream: Protocol, encoded: Encoded, name: str, arguments: str) -> Json:
    crossing = pair.Crossing(client, upstream, asked(encoded))
    said: Json = json.loads(crossing.whole(json.dumps(called(upstream, name, arguments)).encode()))
    return said


# ------------------------------------------------------------------------------------------- Anthropic's tools

EDITOR = "view create str_replace insert"
EDITORS = [
    ("text_editor_20241022", "str_replace_editor", True, False),
    ("text_editor_20250124", "str_replace_editor", True, False),
    ("text_editor_20250429", "str_replace_based_edit_tool", False, False),
    ("text_editor_20250728", "str_replace_based_edit_tool", False, True),
]


@pytest.mark.parametrize(("kind", "name", "undoes", "own_text"), EDITORS)
@pytest.mark.parametrize("upstream", OTHERS["messages"])
def test_the_text_editor_by_version(upstream: Protocol, kind: str, name: str, undoes: bool, own_text: bool) -> None:
    encoded = ask("messages", upstream, tools=[{"type": kind, "name": name, "max_characters": 9000}])
    schema = offered(encoded)[name]["schema"]
    assert schema["properties"]["command"]["enum"] == EDITOR.split() + ["undo_edit"] * undoes
    assert ("insert_text" in schema["properties"]) == own_text
    assert {"path", "file_text", "old_str", "new_str", "insert_line", "view_range"} < schema["properties"].keys()
    assert schema["required"] == ["command", "path"] and "9000 characters" in offered(encoded)[name]["about"]
    assert encoded.dropped == []
    given = {"command": "view", "path": "/a"}
    said = back("messages", upstream, encoded, name, json.dumps(given))
    use = {"type": "tool_use", "id": "call_1", "name": name, "input": given}
    assert said["content"] == [use] and said["stop_reason"] == "tool_use"


COMPUTERS = [
    ("computer_20241022", {}, 10, False, False),
    ("computer_20250124", {}, 16, True, False),
    ("computer_20251124", {}, 16, True, False),
    ("computer_20251124", {"enable_zoom": True}, 17, True, True),
]


@pytest.mark.parametrize(("kind", "more", "actions", "scrolls", "zooms"), COMPUTERS)
def test_the_computer_by_version(kind: str, more: Json, actions: int, scrolls: bool, zooms: bool) -> None:
    size = {"display_width_px": 1024, "display_height_px": 768, "display_number": 1}
    encoded = ask("messages", "chat", tools=[{"type": kind, "name": "computer"} | size | more])
    tool = offered(encoded)["computer"]
    assert "1024x768" in tool["about"] and "X11 number is 1" in tool["about"]
    properties = tool["schema"]["properties"]
    assert len(set(properties["action"]["enum"])) == actions
    assert ("scroll_direction" in properties) == ("start_coordinate" in properties) == scrolls
    assert ("region" in properties) == ("zoom" in properties["action"]["enum"]) == zooms


@pytest.mark.parametrize("upstream", OTHERS["messages"])
def test_bash_and_memory(upstream: Protocol) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tools = [{"type": "bash_20250124", "name": "bash"} | mark, {"type": "memory_20250818", "name": "memory"}]
    choice = {"type": "tool", "name": "bash"}
    encoded = ask("messages", upstream, tools=tools, tool_choice=choice)
    assert offered(encoded).keys() == {"bash", "memory"} and encoded.dropped == ["cache_control"]
    commands = offered(encoded)["memory"]["schema"]["properties"]["command"]["enum"]
    assert commands == ["view", "create", "str_replace", "insert", "delete", "rename"]
    assert "bash" in json.dumps(encoded.body["tool_choice"])


def test_a_toolset_is_a_function_for_each_member() -> None:
    configs = {"zoom": {"enabled": False}, "wait": {"defer_loading": True}, "key": {}}
    tools = [{"type": "computer_toolset_20260801", "configs": configs}, {"type": "browser_toolset_20260801"}]
    use = {"type": "tool_use", "id": "t", "toolset_name": "computer", "name": "left_click",
           "input": {"coordinate": [1, 2]}}  # fmt: skip
    history = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [use]}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t", "content": "clicked"},
    ]}]  # fmt: skip
    encoded = ask("messages", "chat", tools=tools, messages=history)
    functions = offered(encoded)
    assert "computer_left_click" in functions and "computer_zoom" not in functions
    assert "browser_navigate" in functions and "browser_javascript_exec" not in functions
    assert functions["browser_left_click_drag"]["schema"]["required"] == ["from", "target"]
    assert functions["computer_scroll"]["schema"]["required"] == ["scroll_direction", "scroll_amount"]
    assert encoded.body["messages"][1]["tool_calls"][0]["function"]["name"] == "computer_left_click"  # type: ignore[index]
    said = back("messages", "chat", encoded, "computer_left_click", '{"coordinate":[3,4]}')
    assert said["content"] == [use | {"id": "call_1", "input": {"coordinate": [3, 4]}}]


def test_a_member_that_the_client_asks_for() -> None:
    configs = {"javascript_exec": {"enabled": True}}
    encoded = ask("messages", "chat", tools=[{"type": "browser_toolset_20260801", "configs": configs}])
    assert "browser_javascript_exec" in offered(encoded)
    none = {name: {"enabled": False} for name in ("key", "hold_key", "type", "cursor_position", "mouse_move",
        "left_mouse_down", "left_mouse_up", "left_click", "left_click_drag", "right_click", "middle_click",
        "double_click", "triple_click", "scroll", "wait", "screenshot", "zoom")}  # fmt: skip
    encoded = ask("messages", "chat", tools=[{"type": "computer_toolset_20260801", "configs": none}])
    assert encoded.dropped == ["tools.computer_toolset_20260801"]


def test_a_member_is_not_taken_for_a_function_of_its_name() -> None:
    own = {"name": "computer_key", "input_schema": {"type": "object"}}
    encoded = ask("messages", "chat", tools=[own, {"type": "computer_toolset_20260801"}])
    assert "computer_key_2" in offered(encoded)
    assert back("messages", "chat", encoded, "computer_key", "{}")["content"][0]["name"] == "computer_key"
    said = back("messages", "chat", encoded, "computer_key_2", '{"text":"a"}')["content"][0]
    assert (said["name"], said["toolset_name"]) == ("key", "computer")


@pytest.mark.parametrize("kind", ["bash", "bash_1", "text_editor_20250728x", "unheard_of_20300101"])
def test_what_is_not_known_is_told(kind: str) -> None:
    encoded = ask("messages", "chat", tools=[{"type": kind, "name": "x"}])
    assert encoded.dropped == [f"tools.{kind}"] and "tools" not in encoded.body


# --------------------------------------------------------------------------------------------- OpenAI's tools

PREVIEW = {"type": "computer_use_preview", "display_width": 800, "display_height": 600, "environment": "linux"}
CLICK = {"type": "click", "x": 1, "y": 2, "button": "right"}
PATCH = {"type": "update_file", "path": "a.py", "diff": "@@\n-x\n+y"}
CREATED = {"type": "create_file", "path": "a", "diff": "+x"}
SHELL = {"commands": ["ls", "pwd"], "timeout_ms": 1000, "max_output_length": 90}
LOCAL = {"command": ["ls"], "working_directory": "/tmp", "env": {"A": "b"}, "timeout_ms": 5, "user": "u"}

# (tool, function, arguments, the item's type, what it says)
CALLS: list[tuple[Json, str, Any, str, Json]] = [
    ({"type": "shell"}, "shell", SHELL, "shell_call", {"action": SHELL}),
    ({"type": "shell", "environment": {"type": "local"}}, "shell", {"command": "ls"}, "shell_call",
     {"action": {"commands": ["ls"]}}),
    ({"type": "local_shell"}, "local_shell", LOCAL, "local_shell_call", {"action": {"type": "exec"} | LOCAL}),
    ({"type": "local_shell"}, "local_shell", {"command": "ls | wc"}, "local_shell_call",
     {"action": {"type": "exec", "command": ["bash", "-lc", "ls | wc"], "env": {}}}),
    ({"type": "apply_patch"}, "apply_patch", PATCH, "apply_patch_call", {"operation": PATCH}),
    ({"type": "apply_patch"}, "apply_patch", CREATED, "apply_patch_call", {"operation": CREATED}),
    ({"type": "apply_patch"}, "apply_patch", {"type": "delete_file", "path": "a", "diff": ""}, "apply_patch_call",
     {"operation": {"type": "delete_file", "path": "a"}}),
    ({"type": "computer"}, "computer", {"actions": [CLICK, {"type": "screenshot"}]}, "computer_call",
     {"actions": [CLICK, {"type": "screenshot"}], "pending_safety_checks": []}),
    ({"type": "computer"}, "computer", {"actions": [{"type": "scroll", "x": 1, "y": 2, "scroll_y": 9}]},
     "computer_call", {"actions": [{"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 9}],
                       "pending_safety_checks": []}),
    (PREVIEW, "computer", {"type": "click", "x": 1, "y": 2}, "computer_call",
     {"action": CLICK | {"button": "left"}, "pending_safety_checks": []}),
    ({"type": "tool_search", "execution": "client"}, "tool_search", {"query": "q"}, "tool_search_call",
     {"execution": "client", "arguments": {"query": "q"}}),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "name", "given", "kind", "says"), CALLS)
@pytest.mark.parametrize("upstream", OTHERS["responses"])
def test_a_call_comes_back_as_its_item(
    upstream: Protocol, tool: Json, name: str, given: Json, kind: str, says: Json
) -> None:
    """And as the SDK reads it. The function's arguments are what the item says."""
    encoded = ask("responses", upstream, tools=[tool])
    assert offered(encoded).keys() == {name} and encoded.dropped == []
    said = back("responses", upstream, encoded, name, json.dumps(given))
    Response.model_validate(said)
    (item,) = said["output"]
    assert item.pop("id").endswith("_k_0") and item.pop("status") == "completed"
    assert item == {"type": kind, "call_id": "call_1"} | says


NO_ITEMS = [
    ({"type": "shell"}, "shell", {"commands": []}),
    ({"type": "shell"}, "shell", {"commands": [1]}),
    ({"type": "local_shell"}, "local_shell", {}),
    ({"type": "apply_patch"}, "apply_patch", {"type": "update_file", "path": "a"}),
    ({"type": "apply_patch"}, "apply_patch", {"type": "rename", "path": "a"}),
    ({"type": "apply_patch"}, "apply_patch", {"type": "delete_file"}),
    ({"type": "computer"}, "computer", {"actions": []}),
    ({"type": "computer"}, "computer", {"actions": [{"type": "click", "x": 1}]}),
    ({"type": "computer"}, "computer", {"actions": ["click"]}),
    (PREVIEW, "computer", {"type": "fly"}),
]


@pytest.mark.parametrize(("tool", "name", "given"), NO_ITEMS)
def test_a_call_that_makes_no_item_stays_one_of_a_function(tool: Json, name: str, given: Json) -> None:
    """The client answers that it knows no such function, or why it failed: the model hears of it."""
    encoded = ask("responses", "chat", tools=[tool])
    (item,) = back("responses", "chat", encoded, name, json.dumps(given))["output"]
    assert (item["type"], item["name"], json.loads(item["arguments"])) == ("function_call", name, given)


@pytest.mark.parametrize("place", [{"type": "container_auto"}, {"type": "container_reference", "container_id": "c"}])
def test_a_shell_in_openais_container_is_none_of_the_clients(place: Json) -> None:
    encoded = ask("responses", "chat", tools=[{"type": "shell", "environment": place}])
    assert encoded.dropped == ["tools.shell"] and "tools" not in encoded.body


def test_what_a_declaration_says_is_told() -> None:
    skills = [{"name": "pdf", "path": "/skills/pdf", "description": "Reads PDFs."}, "no skill"]
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    search = {"type": "tool_search", "execution": "client", "description": "Look for apps.", "parameters": schema}
    shell = {"type": "shell", "environment": {"type": "local", "skills": skills}}
    functions = offered(ask("responses", "chat", tools=[shell, PREVIEW, search]))
    assert "pdf (/skills/pdf): Reads PDFs." in functions["shell"]["about"]
    assert "800x600" in functions["computer"]["about"] and "linux" in functions["computer"]["about"]
    assert functions["tool_search"] == {"about": "Look for apps.", "schema": schema}


@pytest.mark.parametrize("upstream", OTHERS["responses"])
def test_names_of_the_clients_own_functions_are_left_to_them(upstream: Protocol) -> None:
    own = {"type": "function", "name": "shell", "parameters": {"type": "object"}}
    encoded = ask("responses", upstream, tools=[{"type": "shell"}, own])
    assert offered(encoded).keys() == {"shell", "shell_2"}
    assert back("responses", upstream, encoded, "shell", "{}")["output"][0]["type"] == "function_call"
    assert back("responses", upstream, encoded, "shell_2", '{"commands":["a"]}')["output"][0]["type"] == "shell_call"


@pytest.mark.parametrize(("tool", "name"), [({"type": "shell"}, "shell"), (PREVIEW, "computer")])
def test_a_tool_is_chosen_by_its_type(tool: Json, name: str) -> None:
    encoded = ask("responses", "chat", tools=[tool], tool_choice={"type": tool["type"]})
    assert encoded.body["tool_choice"] == {"type": "function", "function": {"name": name}}


SHOT = "data:image/png;base64,iVBORw0KGgo="
PRINTED = [
    {"stdout": "a\n", "stderr": "oops\n", "outcome": {"type": "exit", "exit_code": 1}},
    {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}},
]
# (call, output, the function's arguments, what its result says)
HISTORIES: list[tuple[Json, Json, Json, str]] = [
    ({"type": "shell_call", "call_id": "c", "action": SHELL}, {"type": "shell_call_output", "output": PRINTED}, SHELL,
     "a\noops\n[exit code 1]\n[timed out]"),
    ({"type": "local_shell_call", "id": "lsh_1", "call_id": "c", "status": "completed",
      "action": {"type": "exec", "env": {}, "command": ["ls"]}},
     {"type": "local_shell_call_output", "id": "lsh_1", "output": "{\"out\":\"x\"}"}, {"command": ["ls"]},
     "{\"out\":\"x\"}"),
    ({"type": "apply_patch_call", "call_id": "c", "status": "completed", "operation": PATCH},
     {"type": "apply_patch_call_output", "status": "completed"}, PATCH, "completed"),
    ({"type": "apply_patch_call", "call_id": "c", "status": "completed", "operation": PATCH},
     {"type": "apply_patch_call_output", "status": "failed", "output": "no such file"}, PATCH, "Error: no such file"),
    ({"type": "computer_call", "call_id": "c", "actions": [CLICK]},
     {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": SHOT}},
     {"actions": [CLICK]}, "[image: see the next user message]"),
    ({"type": "computer_call", "call_id": "c", "action": CLICK},
     {"type": "computer_call_output", "output": {"type": "computer_screenshot"}}, CLICK, "(no output)"),
    ({"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "q"}},
     {"type": "tool_search_output", "execution": "client", "tools": []}, {"query": "q"},
     "No tool matches; try other words."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "output", "arguments", "says"), HISTORIES)
@pytest.mark.parametrize("declared", [True, False])
def test_a_history_crosses(call: Json, output: Json, arguments: Json, says: str, declared: bool) -> None:
    if "id" not in output:
        output = output | {"call_id": "c"}
    kind = {"tool_search_call": {"type": "tool_search", "execution": "client"}}
    name = str(call["type"]).removesuffix("_call")
    tools = [kind.get(str(call["type"]), {"type": name})] if declared else []
    items = [{"role": "user", "content": "go"}, call, output, {"role": "user", "content": "on"}]
    encoded = ask("responses", "chat", tools=tools, input=items)
    _, said, result, *rest = encoded.body["messages"]  # type: ignore[misc]
    (made,) = said["tool_calls"]
    assert (made["id"], made["function"]["name"]) == ("c", name)
    assert json.loads(made["function"]["arguments"]) == arguments
    assert result == {"role": "tool", "tool_call_id": "c", "content": says} and encoded.dropped == []
    assert (SHOT in json.dumps(rest)) == ("image_url" in json.dumps(output))


def test_a_screenshot_is_an_image_of_the_result_for_messages() -> None:
    call, output, _, _ = HISTORIES[4]
    items = [{"role": "user", "content": "go"}, call, output | {"call_id": "c"}]
    encoded = ask("responses", "messages", tools=[{"type": "computer"}], input=items)
    (result,) = encoded.body["messages"][-1]["content"]  # type: ignore[index]
    assert result["tool_use_id"] == "c" and result["content"][0]["source"]["data"] == "iVBORw0KGgo="


def test_found_tools_are_offered_from_then_on() -> None:
    """Codex's search: its output brings the definitions along."""
    found = {"type": "namespace", "name": "mcp__x", "description": "X", "tools": [
        {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}, "defer_loading": True},
    ]}  # fmt: skip
    items = [
        {"role": "user", "content": "go"},
        {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "q"}},
        {"type": "tool_search_output", "call_id": "c", "execution": "client", "status": "completed", "tools": [found]},
    ]
    encoded = ask("responses", "chat", tools=[{"type": "tool_search", "execution": "client"}], input=items)
    assert offered(encoded).keys() == {"tool_search", "mcp__x__add"}
    assert encoded.body["messages"][-1]["content"] == "Tools now available: mcp__x__add."  # type: ignore[index]


def test_a_call_without_ids_gets_one() -> None:
    items = [{"role": "user", "content": "go"}, {"type": "shell_call", "action": SHELL}]
    encoded = ask("responses", "chat", input=items)
    assert encoded.body["messages"][1]["tool_calls"][0]["id"] == "call_1"  # type: ignore[index]


def test_a_loose_server_of_the_clients_own_protocol_gets_functions_too() -> None:
    encoded = ask("responses", "responses", Policy(rebuild=True), tools=[{"type": "shell"}])
    assert offered(encoded).keys() == {"shell"}
    assert ask("responses", "responses", tools=[{"type": "shell"}]).body["tools"] == [{"type": "shell"}]


# ------------------------------------------------------------------------------------------------ on the way back

FORMS: dict[str, Form] = {"shell": ("shell", ""), "computer_key": ("computer", "key")}


def passed(*events: Event) -> list[Event]:
    """One by one, as a stream may bring them."""
    stage = NativeCalls(FORMS, "k")
    out = [new for event in events for new in stage.passed([event])]
    assert "NativeCalls" in repr(stage)
    return out


def test_a_call_that_broke_off_is_nobodys() -> None:
    fault = Fault(ApiError("api", "gone"))
    assert passed(Open(ToolCall("c", "shell")), Delta([b"{"]), fault) == [fault]


def test_what_stands_around_a_held_call_passes() -> None:
    text: list[Event] = [Open(Text("")), Delta([b"x"]), Close()]
    stop = Stop("tool_calls")
    arguments = Delta([rb"{\"commands\":[\"a\"]}"])
    out = passed(*text, Open(ToolCall("c", "shell")), arguments, Ping(), Close(), stop)
    assert out[:4] == [*text, Ping()] and out[-1] is stop
    opened = out[4]
    assert isinstance(opened, Open) and isinstance(opened.part, Unknown) and opened.part.kind == "shell_call"


def test_arguments_that_were_cut_stay_as_they_are() -> None:
    """The reply's end tells that they were, and the item is incomplete."""
    call = ToolCall("c", "shell")
    assert passed(Open(call), Delta([b"{"]), Stop("length")) == [Open(call), Delta([b"{"]), Close(), Stop("length")]
    assert passed(Open(call), Close()) == [Open(call), Close()]
