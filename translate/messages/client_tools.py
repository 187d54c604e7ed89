"""Anthropic's own tools that the client runs (bash, text editor, memory, computer, browser), as functions.

Claude was trained on them, so that a declaration says no more than a type. For every other model the tool is offered as
a function with the arguments that Anthropic publishes for that version. The model's call then is a tool_use of the same
name, which the client knows how to run. A toolset is one declaration for many members: each becomes a function under
the toolset's name and its own, which are told apart again in the reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from translate.conversation import Tool
from translate.messages.decode_messages import rest

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_SETTINGS = ("type", "name", "defer_loading", "strict", "max_characters", "display_width_px", "display_height_px",
             "display_number", "enable_zoom", "configs")  # fmt: skip
_TYPE = re.compile(r"(bash|text_editor|memory|computer|computer_toolset|browser_toolset)_(\d{8})")


def functions(tool: Tool) -> list[tuple[Tool, str]]:
    """Returns the functions that stand for a declaration, each with its toolset ("" = it is in none); [] = it declares
    no such tool."""
    found = _TYPE.fullmatch(str(tool.raw.get("type"))) if tool.kind == "server" else None
    if found is None or tool.protocol != "messages":
        return []
    kind, version = found.groups()
    left = rest(tool.raw, *_SETTINGS)
    if kind.endswith("_toolset"):
        return _members(tool, kind.removesuffix("_toolset"), left)
    name, about, schema = _MAKERS[kind](tool.raw, version)
    return [(Tool(tool.name or name, about, schema, deferred=tool.deferred, ext=left), "")]


def _object(properties: Schema, required: str = "") -> Schema:
    return {"type": "object", "properties": properties, "required": required.split()}


def _about(schema: Schema, description: str) -> Schema:
    return schema | {"description": description}


def _words(names: str, description: str = "") -> Schema:
    schema: Schema = {"type": "string", "enum": names.split()}
    return _about(schema, description) if description else schema


def _numbers(count: int, description: str) -> Schema:
    return {"type": "array", "items": _WHOLE, "minItems": count, "maxItems": count, "description": description}


# ------------------------------------------------------------------------------------------------- single tools


def _bash(raw: Schema, version: str) -> tuple[str, str, Schema]:
    about = "Run a command in a bash shell that keeps its state from one call to the next."
    command = _about(_TEXT, "The command to run. Required unless restart is true.")
    restart = _about({"type": "boolean"}, "Set to true to restart the shell, instead of running a command.")
    return "bash", about, _object({"command": command, "restart": restart})


_PATH = _about(_TEXT, "Absolute path of the file or directory, such as /repo/file.py.")
_RANGE = _numbers(2, "view: the first and last line to show, counted from 1; -1 as the last line is the file's end.")
_LINE = _about(_WHOLE, "insert: the line after which the text goes; 0 is the beginning of the file.")
_CREATED = _about(_TEXT, "create: the content of the file.")
_OLD = _about(_TEXT, "str_replace: the text to replace, exactly as it stands in the file, and there only once.")
_EDITS = """view: show a file with line numbers, or what is in a directory.
create: make a file, or overwrite it.
str_replace: replace one passage of a file.
insert: put text after a line."""


def _text_editor(raw: Schema, version: str) -> tuple[str, str, Schema]:
    """undo_edit ended with the version of April 2025; insert's text has a name of its own since July 2025."""
    undoes, own_text = version < "20250429", version >= "20250728"
    commands = "view create str_replace insert" + (" undo_edit" if undoes else "")
    about = "View, create and edit text files. Commands:\n" + _EDITS
    if undoes:
        about += "\nundo_edit: take back the last edit of a file."
    if most := raw.get("max_characters"):
        about += f"\nA view shows at most {most} characters."
    new = "str_replace: the text that replaces it." + ("" if own_text else " insert: the text to insert.")
    properties = {
        "command": _words(commands), "path": _PATH, "file_text": _CREATED, "old_str": _OLD,
        "new_str": _about(_TEXT, new), "insert_line": _LINE, "view_range": _RANGE,
    }  # fmt: skip
    if own_text:
        properties["insert_text"] = _about(_TEXT, "insert: the text to insert.")
    name = "str_replace_editor" if undoes else "str_replace_based_edit_tool"
    return name, about, _object(properties, "command path")


def _memory(raw: Schema, version: str) -> tuple[str, str, Schema]:
    about = (
        "Your memory: files in the directory /memories that last beyond this conversation. Look there for what you "
        "noted earlier before you begin, and note what will be of use later. Commands:\n" + _EDITS +
        "\ndelete: remove a file or directory.\nrename: move a file or directory."
    )  # fmt: skip
    path = _about(_TEXT, "Path of the file or directory, such as /memories/notes.txt; for all commands but rename.")
    properties = {
        "command": _words("view create str_replace insert delete rename"), "path": path, "view_range": _RANGE,
        "file_text": _CREATED, "old_str": _OLD, "new_str": _about(_TEXT, "str_replace: the text that replaces it."),
        "insert_line": _LINE, "insert_text": _about(_TEXT, "insert: the text to insert."),
        "old_path": _about(_TEXT, "rename: the path now."), "new_path": _about(_TEXT, "rename: the path afterwards."),
    }  # fmt: skip
    return "memory", about, _object(properties, "command")


_XY = "(x, y): pixels from the left edge, pixels from the top edge."
_FIRST_ACTIONS = (
    "key type mouse_move left_click left_click_drag right_click middle_click double_click screenshot cursor_position"
)
_LATER_ACTIONS = " left_mouse_down left_mouse_up scroll hold_key wait triple_click"


def _computer(raw: Schema, version: str) -> tuple[str, str, Schema]:
    later, zooms = version >= "20250124", version >= "20251124" and raw.get("enable_zoom") is True
    actions = _FIRST_ACTIONS + _LATER_ACTIONS * later + " zoom" * zooms
    size = f"{raw.get('display_width_px')}x{raw.get('display_height_px')}"
    about = (
        f"Use a computer by its mouse, keyboard and screenshots. The display has {size} pixels. Take a screenshot "
        "first, and after what you did, to see where things are; click at the middle of buttons and links."
    )
    if (number := raw.get("display_number")) is not None:
        about += f" The display's X11 number is {number}."
    text = "type: the text. key: the key or combination, such as ctrl+s."
    if later:
        text += " hold_key: the key to hold. Clicks and scroll: a key to hold meanwhile."
    properties: Schema = {
        "action": _words(actions, "What to do."),
        "coordinate": _numbers(2, _XY + " For mouse_move, left_click_drag (its end), and where to click."),
        "text": _about(_TEXT, text),
    }
    if later:
        properties |= {
            "start_coordinate": _numbers(2, _XY + " Where left_click_drag begins."),
            "scroll_direction": _words("up down left right", "For scroll."),
            "scroll_amount": _about(_WHOLE, "scroll: the number of clicks of the wheel."),
            "duration": _about({"type": "number"}, "hold_key and wait: seconds."),
        }
    if zooms:
        properties["region"] = _numbers(4, "zoom: (x0, y0, x1, y1), the part of the screen to see in full detail.")
    return "computer", about, _object(properties, "action")


_MAKERS: dict[str, Callable[[Schema, str], tuple[str, str, Schema]]] = {
    "bash": _bash,
    "text_editor": _text_editor,
    "memory": _memory,
    "computer": _computer,
}

# ------------------------------------------------------------------------------------------------------ toolsets

_WITHHELD = frozenset({("browser", "javascript_exec")})  # offered only where the client asks for it

_HELD = "A key combination to hold meanwhile, such as ctrl+shift."
_POINT = _object({"type": _words("coordinate"), "x": _WHOLE, "y": _WHOLE}, "type x y")
_ELEMENT = _object({"type": _words("ref"), "ref": _TEXT}, "type ref")
_SECONDS = _about({"type": "number"}, "Seconds.")

_FIELDS: dict[str, Schema] = {
    "coordinate": _numbers(2, _XY),
    "start_coordinate": _numbers(2, _XY),
    "region": _numbers(4, "(x0, y0, x1, y1)"),
    "text": _TEXT,
    "held": _about(_TEXT, _HELD),
    "modifiers": _about(_TEXT, _HELD),
    "repeat": _about(_WHOLE, "How often; 1 if left out."),
    "duration": _SECONDS,
    "scroll_amount": _about(_WHOLE, "Clicks of the scroll wheel."),
    "scroll_direction": _words("up down left right"),
    "tab_id": _about(_TEXT, "The tab; the active one if left out."),
    "url": _about(_TEXT, "The address, or back, forward or reload."),
    "query": _about(_TEXT, "What the elements are, in words."),
    "depth": _about(_WHOLE, "How deep the tree goes; 15 if left out."),
    "filter": _words("all interactive"),
    "ref": _about(_TEXT, "An element whose subtree is meant."),
    "value": {"anyOf": [_TEXT, {"type": "number"}, {"type": "boolean"}]},
    "paths": {"type": "array", "items": _TEXT},
    "document_ids": {"type": "array", "items": _TEXT},
    "from": _POINT,
    "target": {"anyOf": [_POINT, _ELEMENT]},
    "point": _about(_POINT, "A point of the page, in pixels."),
    "element": _about(_ELEMENT, "An element that read_page or find has shown."),
}
_SENT_AS = {"held": "text", "point": "target", "element": "target"}  # fields that differ from tool to tool

# member | its arguments, the required ones with a "!" | what it does
_COMPUTER = """
key | text! repeat | Press a key or key combination, such as Return or ctrl+s.
hold_key | text! duration! | Hold a key or key combination down.
type | text! | Type text on the keyboard.
cursor_position | | Tell where the cursor is.
mouse_move | coordinate! | Move the cursor without clicking.
left_mouse_down | | Press the left mouse button where the cursor is, and hold it.
left_mouse_up | | Release the left mouse button.
left_click | coordinate held | Click the left mouse button at a point, or where the cursor is.
left_click_drag | start_coordinate! coordinate! held | Drag from one point to another.
right_click | coordinate held | Click the right mouse button at a point, or where the cursor is.
middle_click | coordinate held | Click the middle mouse button at a point, or where the cursor is.
double_click | coordinate held | Double-click at a point, or where the cursor is.
triple_click | coordinate held | Triple-click at a point, or where the cursor is.
scroll | coordinate scroll_direction! scroll_amount! held | Scroll at a point, or where the cursor is.
wait | duration! | Wait.
screenshot | | Take a screenshot.
zoom | region! | Take a screenshot of a part of the screen in full detail.
"""
_BROWSER = """
navigate | url! tab_id | Go to an address, or back, forward or reload.
list_tabs | | List the open tabs with their ids, titles and addresses.
new_tab | | Open an empty tab; the answer has its id.
switch_tab | tab_id! | Make a tab the active one.
close_tab | tab_id! | Close a tab.
read_page | depth filter ref tab_id | The page's accessibility tree, with references such as ref_7 to elements.
get_page_text | tab_id | The page's visible text.
read_console | tab_id | What was written to the console since the last read.
read_network | tab_id | The network requests since the last read.
find | query! tab_id | Find elements by a description; the answer has references to them.
form_input | element! value! tab_id | Set the value of a form's element.
file_upload | element! paths document_ids tab_id | Give files to an element that takes them.
scroll_to | element! tab_id | Scroll an element into view.
screenshot | tab_id | Take a screenshot of the page.
zoom | region! tab_id | Take a screenshot of a part of the page in full detail.
left_click | target! modifiers tab_id | Click at a point or on an element.
right_click | target! modifiers tab_id | Click the right mouse button at a point or on an element.
middle_click | target! modifiers tab_id | Click the middle mouse button at a point or on an element.
double_click | target! modifiers tab_id | Double-click at a point or on an element.
triple_click | target! modifiers tab_id | Triple-click at a point or on an element.
hover | target! tab_id | Move the cursor to a point or an element without clicking.
left_click_drag | from! point! tab_id | Drag from one point to another.
left_mouse_down | point! tab_id | Press the left mouse button at a point, and hold it.
left_mouse_up | point! tab_id | Release the left mouse button at a point.
mouse_move | point! tab_id | Move the cursor to a point without clicking.
scroll | point! scroll_direction! scroll_amount tab_id | Scroll at a point.
type | text! tab_id | Type text where the focus is.
key | text! repeat tab_id | Press a key, a combination such as ctrl+a, or several after one another.
hold_key | text! duration! tab_id | Hold a key or key combination down.
wait | duration! tab_id | Wait.
javascript_exec | text! tab_id | Run JavaScript in the page; the value of the last expression is the answer.
"""
_TOOLSETS = {"computer": _COMPUTER, "browser": _BROWSER}


def _members(tool: Tool, toolset: str, left: dict[str, dict[str, Any]]) -> list[tuple[Tool, str]]:
    """What the declaration says beside its settings stands with the first member."""
    given = tool.raw.get("configs")
    configs = given if isinstance(given, dict) else {}
    found = []
    for line in _TOOLSETS[toolset].strip().splitlines():
        member, fields, about = (cell.strip() for cell in line.split("|"))
        config = said if isinstance(said := configs.get(member), dict) else {}
        enabled = config.get("enabled")
        if enabled is False or (enabled is None and (toolset, member) in _WITHHELD):
            continue
        function = Tool(member, about, _arguments(fields), deferred=config.get("defer_loading") is True)
        found.append((function, toolset))
    if found:
        found[0] = replace(found[0][0], ext=left), toolset
    return found


def _arguments(fields: str) -> Schema:
    properties, required = {}, []
    for word in fields.split():
        field = word.rstrip("!")
        name = _SENT_AS.get(field, field)
        properties[name] = _FIELDS[field]
        required += [name] if word.endswith("!") else []
    return {"type": "object", "properties": properties, "required": required}
