"""Compaction: a summary in place of the conversation, written by whichever model answers.

Anthropic and OpenAI shorten conversations at their servers. A client asks for that (`compaction`, a
`compaction_trigger` item) or says when it is due (`context_management`), gets a block or an item that stands for
everything before it, and sends that from then on. Other providers do not have this, so the proxy lets the model write
the summary. `wished` reads what the client wants, `summary_wanted` makes the request for it, summary_reply.py makes the
client's block or item of the reply, and `opened` puts the summary, as text, where such a block or item comes back. What
was compacted elsewhere, under a cipher, cannot be read; the model is told so, and the session goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from translate.conversation import (
    Conversation,
    Ext,
    Part,
    Sampling,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.failures.errors import BadRequest
from translate.json.json_fields import Body, objects_of, text_of
from translate.reasoning import sealed_reasoning
from translate.target import Asked

USUAL_TRIGGER = 150_000  # tokens: Anthropic's, where an edit names none

_CHANGES = ("tool_addition", "tool_removal")
KINDS = ("compaction", "compaction_summary", "context_compaction")  # the latter two: Codex's own words for an item

SUMMARIZE = """\
Stop here. Write a summary of this conversation that will stand in its place: whoever goes on from it sees nothing of \
what is above. Do not go on with the task, answer nothing else and call no tools. Keep, exactly where words matter:
1. what the user wants, with all instructions, constraints and preferences that still hold;
2. what was done and found out: decisions and why, files and code, commands and what came of them, errors, names, \
paths, numbers, identifiers;
3. what is being done right now, what is left to do, and the next step.
Write the summary alone."""
SUMMARY = """\
The conversation before this point was replaced by a summary of it. Go on from there, without asking for what it says.

<summary>
{}
</summary>"""
UNREADABLE = "[What was said before was compacted by another provider and cannot be read here.]"


# ------------------------------------------------------------------------------------------- what was summed up


def opened(conversation: Conversation, keeps_users: bool) -> tuple[Conversation, list[str]]:
    """Returns the conversation with summaries as text, and without what they stand for; and what could not be read, in
    the client's words. keeps_users: what the user said before a summary stands beside it. `conversation` is not
    changed."""
    if not any(map(_is_compacted, conversation.turns)):
        return conversation, []
    at = _last_readable(conversation.turns)
    out: list[Turn] = []
    lost: list[str] = []
    for place, turn in enumerate(conversation.turns):
        if at is None or place > at:
            out += _opened_turn(turn, lost) if _is_compacted(turn) else [turn]
        elif place == at:
            out += _from(turn)
        elif keeps_users and (kept := _kept(turn)):
            out.append(kept)
    return replace(conversation, turns=out), lost


def as_text(summary: str) -> str:
    """Returns a summary as the model reads it."""
    return SUMMARY.format(summary)


def _last_readable(turns: list[Turn]) -> int | None:
    return next((at for at in reversed(range(len(turns))) if any(map(_summary, turns[at].parts))), None)


def _summary(part: Part) -> str:
    """Returns "" for another part, and for one that cannot be read."""
    if not isinstance(part, Unknown) or part.kind not in KINDS:
        return ""
    return sealed_reasoning.summary_in(part.raw.get("encrypted_content")) or text_of(part.raw, "content")


def _is_compacted(turn: Turn) -> bool:
    for part in turn.parts:  # noqa: SIM110  # any() takes twice as long, and every turn is asked
        if isinstance(part, Unknown) and part.kind in KINDS:
            return True
    return False


def _from(turn: Turn) -> list[Turn]:
    """Returns the last summary of a turn, and what the turn says after it."""
    at = next(at for at in reversed(range(len(turn.parts))) if _summary(turn.parts[at]))
    part = turn.parts[at]
    mark = part.raw.get("cache_control") if isinstance(part, Unknown) else None
    ext: Ext = {"cache": {"cache_control": mark}} if isinstance(mark, dict) else {}
    said = Turn("user", [Text(as_text(_summary(part)), ext)])
    rest = turn.parts[at + 1 :]
    return [said, replace(turn, parts=rest)] if rest else [said]


def _kept(turn: Turn) -> Turn | None:
    """Returns what an item of Responses leaves standing before it: what the user said, and instructions. The model's
    own words, its calls and their results are in the summary."""
    if turn.role == "assistant":
        return None
    parts: list[Part] = [part for part in turn.parts if not _is_output(part)]
    return replace(turn, parts=parts) if parts else None


def _is_output(part: Part) -> bool:
    return isinstance(part, ToolResult) or (isinstance(part, Unknown) and part.kind.endswith("_output"))


def _opened_turn(turn: Turn, lost: list[str]) -> list[Turn]:
    """Puts a note where a compaction stood that cannot be read. Anthropic's compactions without content have failed,
    and stand for nothing."""
    out: list[Turn] = []
    run: list[Part] = []
    for part in turn.parts:
        if not isinstance(part, Unknown) or part.kind not in KINDS:
            run.append(part)
        elif part.raw.get("encrypted_content"):
            out += [replace(turn, parts=run)] if run else []
            out.append(Turn("user", [Text(UNREADABLE)]))
            run = []
            lost += [] if part.kind in lost else [part.kind]
    return out + ([replace(turn, parts=run)] if run else [])


# ------------------------------------------------------------------------------------------------ the request


class Wish(Struct, frozen=True):
    """The client wants a summary of its conversation. at: once the input has so many tokens; 0 = now, in the place of
    an answer. instructions: the client's own words for it, "" = none. adds: they are added to the usual ones. goes_on:
    an answer is to follow the summary."""

    instructions: str = ""
    adds: bool = False
    at: int = 0
    goes_on: bool = False


class Compaction(Struct, frozen=True):
    """How a protocol's clients compact. wished: returns what the client wants, and the conversation without the words
    for it; raises BadRequest if it is no such wish. reply_part: returns the part by which the reply gives a summary,
    or, for "", the part that says there is none; None if only a failure can say that. keeps_users: what the user said
    before a summary stands beside it. answers_calls: a conversation whose last calls have no results cannot be
    summarized."""

    wished: Callable[[Conversation], tuple[Conversation, Wish | None]]
    reply_part: Callable[[str, Asked], Unknown | None]
    keeps_users: bool = False
    answers_calls: bool = False


def _nothing_wished(conversation: Conversation) -> tuple[Conversation, Wish | None]:
    return conversation, None


NO_COMPACTION = Compaction(_nothing_wished, lambda text, asked: None)
"""Of a protocol that knows no compaction."""


def summary_wanted(conversation: Conversation, wish: Wish, answers_calls: bool) -> Conversation:
    """Returns the request for the summary. It keeps everything, so that the prompt's cache is of use, but no tool may
    be called and no format is asked for. Raises BadRequest if there is nothing to summarize, or a call is open."""
    turns = conversation.turns
    if not any(turn.role != "system" and turn.parts for turn in turns):
        raise _refusal("compaction_nothing_to_summarize", "there is no message to summarize")
    if answers_calls and any(isinstance(part, ToolCall) for part in turns[-1].parts):
        raise _refusal("compaction_incomplete_turn", "the last turn's tool calls have no results yet")
    own = wish.instructions.strip()
    words = f"{SUMMARIZE}\n\n{own}" if own and wish.adds else own or SUMMARIZE
    drawn = conversation.sampling
    return replace(
        conversation,
        turns=[*turns, Turn("user", [Text(words)])],
        tool_choice=ToolChoice("none") if conversation.tools else None,
        parallel_tools=None,
        output=None,
        sampling=Sampling(drawn.temperature, drawn.top_p, drawn.top_k),
    )


def tool_changes(conversation: Conversation) -> tuple[Body, ...]:
    """Returns what changed the tools up to here, the last change of each, for the block of Anthropic's that stands for
    it."""
    last: dict[str, Body] = {}
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Unknown):
                changes = objects_of(part.raw, "tool_changes") if part.kind in KINDS else [part.raw]
                last |= {_name_of(each): each for each in changes if each.get("type") in _CHANGES}
    return tuple(last.values())


def _name_of(change: Body) -> str:
    tool = change.get("tool")
    definition = tool.get("definition", tool) if isinstance(tool, dict) else {}
    named = definition if isinstance(definition, dict) else {}
    return str((named.get("server_name"), named.get("name")))


def _refusal(code: str, why: str) -> BadRequest:
    return BadRequest(f"compaction: {why}", details={"error_code": code})
