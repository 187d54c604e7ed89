"""Turns parts that only the conversation's own protocol has into parts that every protocol has.

- Chat tells the authors of one role apart: models of other protocols read the name before the words.
- Responses has items that no other protocol knows (messages between Codex's agents, and types that do not exist yet):
  the texts and pictures in them take their place.
- Messages has instructions that hold for one turn only, and takes those at the head as messages, too.
- Pictures in the instructions at the head go into the user's first turn, since instructions of other protocols are only
  texts. Pictures and sounds that the model has made go into the user's next turn, unless the upstream's own protocol
  has them in the model's turns.
- Instructions without a conversation become the user's words, for an upstream that answers only users.

This is used only when a request crosses protocols.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from translate.conversation import Audio, Conversation, Document, Image, Part, Text, ToolResult, Turn, Unknown

AUTHOR = "messages.name"  # the name in the report where it does not cross

SHOWN = "[shown with the instructions]"
DRAWN = "[shown in the assistant's answer]"
OFFERED = "additional_tools"  # an item of Responses

_MEDIA = (Image, Document, Audio)

Drop = Callable[[str], None]


def without_media(given: Conversation, *, model_shows: bool) -> Conversation:
    """Returns the conversation with media in the user's turns alone, and in the model's where the upstream has them
    there (`model_shows`)."""
    for turn in given.turns if not model_shows else ():
        if turn.role == "assistant":
            for part in turn.parts:
                if type(part) in _MEDIA or (type(part) is Unknown and part.parts):
                    return without_media(replace(given, turns=_moved(given.turns)), model_shows=True)
    media = [part for part in given.system if isinstance(part, Image | Document | Audio)]
    if not media:
        return given
    shown: list[Part] = [Text(SHOWN), *media]
    first = next((turn for turn in given.turns[:1] if turn.role == "user"), None)
    moved = replace(first, parts=[*shown, *first.parts]) if first is not None else Turn("user", shown)
    rest = given.turns[1:] if first is not None else given.turns
    return replace(given, system=[part for part in given.system if part not in media], turns=[moved, *rest])


def headed(given: Conversation) -> Conversation:
    """Returns the conversation with the instructions that stand before all turns among those at the head."""
    first = next((i for i, turn in enumerate(given.turns) if turn.role != "system"), len(given.turns))
    leading, later = given.turns[:first], given.turns[first:]
    meant = [part for turn in leading if not turn.for_one_turn for part in _with_fields(turn)]
    said = [told for part in meant for told in _at_head(part)]
    kept = [turn for turn in leading if turn.for_one_turn]
    return replace(given, system=[*given.system, *said], turns=[*kept, *later])


def _at_head(part: Part) -> list[Part]:
    """Returns what is told of a part there. Tools that come before all turns are offered like the others, so that there
    is nothing to tell: Codex brings all of its tools in this way."""
    if not isinstance(part, Unknown):
        return [part]
    return [] if part.kind == OFFERED else part.parts or [part]


def _with_fields(turn: Turn) -> list[Part]:
    """Returns the parts of a turn that is none any more. What else it says goes with the first one."""
    if not turn.ext or not turn.parts:
        return turn.parts
    first, own = turn.parts[0], turn.ext
    ext = own | {group: own.get(group, {}) | left for group, left in first.ext.items()}
    return [replace(first, ext=ext), *turn.parts[1:]]


def spoken(given: Conversation) -> Conversation:
    """Returns a conversation of nothing but instructions as one in which the user says them, for an upstream that wants
    to hear somebody. Where OpenAI's protocols are spoken, a prompt is often just that."""
    if not given.system or any(map(_says_something, given.turns)):
        return given
    return replace(given, system=[], turns=[Turn("user", system(given.system))])


def _says_something(turn: Turn) -> bool:
    return any(not isinstance(part, Text) or (part.text and not part.text.isspace()) for part in turn.parts)


def _moved(given: list[Turn]) -> list[Turn]:
    out: list[Turn] = []
    media: list[Part] = []
    for turn in given:
        if media and turn.role == "user":
            turn, media = replace(turn, parts=_with(turn.parts, media)), []
        elif media and turn.role == "assistant":
            out.append(Turn("user", [Text(DRAWN), *media]))
            media = []
        if turn.role == "assistant":
            kept = [part for part in turn.parts if not _media_in(part)]
            media = [shown for part in turn.parts for shown in _media_in(part)]
            turn = replace(turn, parts=kept) if media else turn
        if turn.parts:
            out.append(turn)
    return [*out, Turn("user", [Text(DRAWN), *media])] if media else out


def _with(parts: list[Part], media: list[Part]) -> list[Part]:
    """Returns a user's turn with what was shown before it; results stay at its head."""
    results = next((i for i, part in enumerate(parts) if not isinstance(part, ToolResult)), len(parts))
    return [*parts[:results], Text(DRAWN), *media, *parts[results:]]


def _media_in(part: Part) -> list[Part]:
    """Returns what a part of the model's shows, [] for any that says something else, too."""
    if isinstance(part, _MEDIA):
        return [part]
    inner = part.parts if isinstance(part, Unknown) else []
    return inner if all(isinstance(each, _MEDIA) for each in inner) else []


def turns(given: list[Turn], drop: Drop) -> list[Turn]:
    """Returns the turns as every protocol can say them. Turns that need no change are the same objects."""
    last = len(given) - 1
    while last >= 0 and given[last].role != "user":
        last -= 1
    return [
        _turn(turn, drop)
        for i, turn in enumerate(given)
        if i > last or not turn.for_one_turn  # the model has not seen such an instruction since
    ]


def system(parts: list[Part]) -> list[Part]:
    """Returns the instructions at the head, with their authors in words."""
    named = (isinstance(part, Text) and part.author != "" for part in parts)
    return _authored(parts) if any(named) else parts


def _authored(parts: list[Part]) -> list[Part]:
    return [
        replace(part, text=f"{part.author}: {part.text}") if isinstance(part, Text) and part.author else part
        for part in parts
    ]


def _turn(turn: Turn, drop: Drop) -> Turn:
    parts = turn.parts
    for part in parts:
        if isinstance(part, Unknown) and part.parts:
            parts = [told for part in parts for told in (isinstance(part, Unknown) and part.parts) or [part]]
            break
    if turn.author and parts:
        if turn.role == "assistant":
            drop(AUTHOR)  # before the model's own words, it would be taken for a way to begin an answer
        else:
            parts = _named(turn.author, parts)
    return turn if parts is turn.parts else replace(turn, parts=parts)


def _named(name: str, parts: list[Part]) -> list[Part]:
    first = parts[0]
    if isinstance(first, Text):
        return [replace(first, text=f"{name}: {first.text}"), *parts[1:]]
    return [Text(f"{name}:"), *parts]
