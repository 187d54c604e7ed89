"""OpenAI's own tools that the client runs (shell, local_shell, apply_patch, computer, tool_search), as functions.

OpenAI's models were trained on them, and their calls are items of types of their own. Every other model gets each of
them as a function, whose arguments have the form of the item's action. `call` and `result` read the items of a history
as calls of that function; `item` makes the item of a model's call. A shell that runs in a container of OpenAI's is none
of these, nor is a search for tools that OpenAI runs.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Part, Text, Tool, ToolCall, ToolResult, Unknown
from translate.json import wire
from translate.json.json_fields import list_of, text_of
from translate.responses.decode_messages import read_content

Item = dict[str, Any]

_TEXT: Item = {"type": "string"}
_WHOLE: Item = {"type": "integer"}
_TEXTS: Item = {"type": "array", "items": _TEXT}

_SHELL: Item = {
    "type": "object",
    "properties": {
        "commands": _TEXTS | {"description": "Commands for the shell, run one after the other."},
        "timeout_ms": _WHOLE | {"description": "How long they may take."},
        "max_output_length": _WHOLE | {"description": "Characters of output that are wanted, at most."},
    },
    "required": ["commands"],
}
_LOCAL_SHELL: Item = {
    "type": "object",
    "properties": {
        "command": _TEXTS | {"description": 'The program and its arguments, such as ["bash", "-lc", "ls"].'},
        "working_directory": _TEXT,
        "env": {"type": "object", "properties": {}, "additionalProperties": _TEXT},
        "timeout_ms": _WHOLE | {"description": "How long it may take."},
        "user": _TEXT | {"description": "The user to run it as."},
    },
    "required": ["command"],
}
_PATCH: Item = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": _TEXT | {"description": "The file, relative to the root of the workspace."},
        "diff": _TEXT | {
            "description": "create_file and update_file: the change. A line of it begins with + where it is added, - "
            "where it is taken away, and a space where it stays; @@ begins each place that is changed. Of a new file "
            "every line begins with +."
        },
    },
    "required": ["type", "path"],
}  # fmt: skip
_KEYS = _TEXTS | {"description": "keypress: the keys. Else: keys that are held meanwhile."}
_ACTION: Item = {
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "enum": ["click", "double_click", "drag", "keypress", "move", "screenshot", "scroll", "type", "wait"],
        },
        "x": _WHOLE | {"description": "Pixels from the left edge: click, double_click, move, scroll."},
        "y": _WHOLE | {"description": "Pixels from the top edge: click, double_click, move, scroll."},
        "button": {
            "type": "string", "enum": ["left", "right", "wheel", "back", "forward"], "description": "For click.",
        },
        "scroll_x": _WHOLE | {"description": "scroll: the horizontal distance."},
        "scroll_y": _WHOLE | {"description": "scroll: the vertical distance."},
        "path": {
            "type": "array",
            "items": {"type": "object", "properties": {"x": _WHOLE, "y": _WHOLE}, "required": ["x", "y"]},
            "description": "drag: the points of its way.",
        },
        "keys": _KEYS,
        "text": _TEXT | {"description": "type: the text."},
    },
    "required": ["type"],
}  # fmt: skip
_ACTIONS: Item = {
    "type": "object",
    "properties": {"actions": {"type": "array", "items": _ACTION, "description": "Done one after the other."}},
    "required": ["actions"],
}
_QUERY: Item = {"type": "object", "properties": {"query": _TEXT}, "required": ["query"]}

_COMPUTER = "Use a computer by its mouse and keyboard. The answer is a screenshot of what it shows afterwards."
_TOOLS: dict[str, tuple[str, str, Item]] = {
    "shell": ("shell", "Run commands in a shell. The answer has their output and exit codes.", _SHELL),
    "local_shell": ("local_shell", "Run a program on the user's machine. The answer is its output.", _LOCAL_SHELL),
    "apply_patch": ("apply_patch", "Create, change or delete a file by a diff.", _PATCH),
    "computer": ("computer", _COMPUTER, _ACTIONS),
    "computer_use_preview": ("computer", _COMPUTER, _ACTION),
    "tool_search": ("tool_search", "Search for more tools. Those that are found can be called from then on.", _QUERY),
}
_IN_CONTAINER = ("container_auto", "container_reference")

CALLS = {
    "shell_call": "shell",
    "local_shell_call": "local_shell",
    "apply_patch_call": "apply_patch",
    "computer_call": "computer",
    "tool_search_call": "tool_search",
}
"""Type of a call's item -> the tool that it is of."""

RESULTS = frozenset({
    "shell_call_output", "local_shell_call_output", "apply_patch_call_output", "computer_call_output",
})  # fmt: skip
"""Types of the items that answer them."""


_SETTINGS = frozenset((
    "type", "name", "environment", "execution", "description", "parameters", "display_width", "display_height",
    "defer_loading",
))  # fmt: skip


def function(tool: Tool) -> Tool | None:
    """Returns the function that stands for a declaration; None for what is no such tool."""
    raw = tool.raw
    kind = str(raw.get("type"))
    if tool.kind != "server" or tool.protocol != "responses" or kind not in _TOOLS:
        return None
    place = raw.get("environment")
    if isinstance(place, dict) and place.get("type") in _IN_CONTAINER:
        return None
    name, about, schema = _TOOLS[kind]
    if kind == "tool_search":
        if raw.get("execution") != "client":
            return None
        about = text_of(raw, "description") or about
        schema = given if isinstance(given := raw.get("parameters"), dict) else schema
    elif kind == "computer_use_preview":
        size = f"{raw.get('display_width')}x{raw.get('display_height')}"
        about += f" Its display has {size} pixels; it is a {raw.get('environment')} environment."
    elif kind == "shell" and isinstance(place, dict):
        about += _skills(place)
    left = {key: value for key, value in raw.items() if key not in _SETTINGS}
    return Tool(name, about, schema, ext={"responses": left} if left else {})


def _skills(place: Item) -> str:
    """Returns what the client's machine has ready."""
    lines = [
        f"\n{text_of(skill, 'name')} ({text_of(skill, 'path')}): {text_of(skill, 'description')}"
        for skill in list_of(place, "skills")
        if isinstance(skill, dict)
    ]
    return "\nSkills that are there, each with its folder:" + "".join(lines) if lines else ""


# ------------------------------------------------------------------------------------------------------- histories


def call(raw: Item, id: str, name: str) -> ToolCall:
    """Returns the item of a call as one of a function."""
    given: Any = {}
    match raw.get("type"):
        case "apply_patch_call":
            given = raw.get("operation")
        case "tool_search_call":
            given = raw.get("arguments")
        case "computer_call" if isinstance(raw.get("actions"), list):
            given = {"actions": raw["actions"]}
        case _:
            given = raw.get("action")
    if raw.get("type") == "local_shell_call" and isinstance(given, dict):
        given = {key: value for key, value in given.items() if key != "type" and value not in (None, {})}
    return ToolCall(id, name, given if isinstance(given, str) else wire.dumps_text(given or {}))


def result(raw: Item, id: str, path: str) -> ToolResult:
    """Returns the item that answers a call. Raises BadRequest."""
    output = raw.get("output")
    failed = raw.get("type") == "apply_patch_call_output" and raw.get("status") == "failed"
    parts: list[Part]
    if isinstance(output, dict):
        shown = output.get("image_url") or output.get("file_id")
        parts = read_content([output | {"type": "input_image"}], path) if shown else []
    elif isinstance(output, list):
        parts = [Text(said) for chunk in output if isinstance(chunk, dict) and (said := _printed(chunk))]
    else:
        said = output if isinstance(output, str) and output else text_of(raw, "status")
        parts = [Text(said)] if said else []
    return ToolResult(id, parts, is_error=failed)


def _printed(chunk: Item) -> str:
    """Returns what a shell's commands wrote, and how they ended."""
    outcome = chunk.get("outcome")
    outcome = outcome if isinstance(outcome, dict) else {}
    end = "[timed out]" if outcome.get("type") == "timeout" else f"[exit code {outcome.get('exit_code', 'unknown')}]"
    texts = [text_of(chunk, "stdout"), text_of(chunk, "stderr")]
    return "\n".join([*(text.rstrip("\n") for text in texts if text), end])


# --------------------------------------------------------------------------------------------------------- replies

_PREFIXES = {
    "shell": "sh", "local_shell": "lsh", "apply_patch": "apc", "computer": "cu", "computer_use_preview": "cu",
    "tool_search": "tsc",
}  # fmt: skip


def item(kind: str, call_id: str, text: str, key: str, n: int) -> Unknown | None:
    """Returns the item of a model's call of the function that stands for `kind`; None where its arguments make none.
    key, n: what its id is made of."""
    try:
        given = wire.loads(text or "{}")
    except ValueError:
        return None
    said = _SAID[kind](given) if isinstance(given, dict) else None
    if said is None:
        return None
    head = {"id": f"{_PREFIXES[kind]}_{key}_{n}", "call_id": call_id or f"call_{key}_{n}", "status": "completed"}
    return Unknown("responses", head | said)


def _shell_call(given: Item) -> Item | None:
    commands = _list_of_texts(given.get("commands") or given.get("command"))
    if commands is None:
        return None
    limits = {key: given[key] for key in ("timeout_ms", "max_output_length") if isinstance(given.get(key), int)}
    return {"type": "shell_call", "action": {"commands": commands} | limits}


def _local_shell_call(given: Item) -> Item | None:
    command = given.get("command")
    command = ["bash", "-lc", command] if isinstance(command, str) and command else _list_of_texts(command)
    if command is None:
        return None
    env = given.get("env") if isinstance(given.get("env"), dict) else {}
    action: Item = {"type": "exec", "command": command, "env": env}
    action |= {key: given[key] for key in ("user", "working_directory") if isinstance(given.get(key), str)}
    action |= {"timeout_ms": given["timeout_ms"]} if isinstance(given.get("timeout_ms"), int) else {}
    return {"type": "local_shell_call", "action": action}


def _apply_patch_call(given: Item) -> Item | None:
    kind, path, diff = given.get("type"), given.get("path"), given.get("diff")
    if not isinstance(path, str) or kind not in ("create_file", "update_file", "delete_file"):
        return None
    if kind == "delete_file":
        return {"type": "apply_patch_call", "operation": {"type": kind, "path": path}}
    if not isinstance(diff, str):
        return None
    return {"type": "apply_patch_call", "operation": {"type": kind, "path": path, "diff": diff}}


_NEEDS = {
    "click": ("x", "y"), "double_click": ("x", "y"), "move": ("x", "y"), "scroll": ("x", "y"), "drag": ("path",),
    "keypress": ("keys",), "type": ("text",), "screenshot": (), "wait": (),
}  # fmt: skip
_UNSAID: dict[str, Item] = {"click": {"button": "left"}, "scroll": {"scroll_x": 0, "scroll_y": 0}}


def _computer_call(given: Item) -> Item | None:
    actions = given["actions"] if isinstance(given.get("actions"), list) else [given]
    if not actions or not all(map(_is_action, actions)):
        return None
    whole = [_UNSAID.get(action["type"], {}) | action for action in actions]
    return {"type": "computer_call", "actions": whole, "pending_safety_checks": []}


def _preview_call(given: Item) -> Item | None:
    if not _is_action(given):
        return None
    return {"type": "computer_call", "action": _UNSAID.get(given["type"], {}) | given, "pending_safety_checks": []}


def _is_action(given: Any) -> bool:
    """Tells whether the action has what clients read without a check."""
    if not isinstance(given, dict) or given.get("type") not in _NEEDS:
        return False
    return all(key in given for key in _NEEDS[given["type"]])


def _tool_search_call(given: Item) -> Item:
    return {"type": "tool_search_call", "execution": "client", "arguments": given}


_SAID = {
    "shell": _shell_call,
    "local_shell": _local_shell_call,
    "apply_patch": _apply_patch_call,
    "computer": _computer_call,
    "computer_use_preview": _preview_call,
    "tool_search": _tool_search_call,
}


def _list_of_texts(value: Any) -> list[str] | None:
    """Returns None for what is no command."""
    if isinstance(value, str) and value:
        return [value]
    is_list = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
    return value if is_list else None
