"""The names of the tools that were offered, as models and servers write them.

Some call a tool by a name that is not quite its own: GPT says functions.NAME, Gemini default_api:NAME, servers leave
blanks around it or the number that Kimi's ids end with, and what stands in a namespace is called with other characters
between, or without the namespace. Clients know no such tool, and the turn fails. So a call of what nobody offered is
that of the one tool which is meant. Where several may be, or none, the name stays as it is.
"""

from __future__ import annotations

from translate import late
from translate.conversation import ToolCall
from translate.target import Asked

_AROUND = late.pattern(r"(?:functions|default_api)[.:]|:\d{1,4}$")
_NO_WORD = late.pattern(r"[\W_]+")


class OfferedNames:
    """Those of one request. What they may be written like is worked out when a call first asks for it. The result is a
    name as the upstream or the client knows it: encoders read both."""

    __slots__ = ("_alone", "_asked", "_spelt")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._spelt: dict[str, str] | None = None  # letters and digits of a name -> as it was sent; "" = of several
        self._alone: dict[str, str] = {}  # likewise, of what stands in a namespace, without it

    def __repr__(self) -> str:
        return f"<OfferedNames {len(self._asked.offered)} and {len(self._asked.namespaces)} in namespaces>"

    def correct(self, call: ToolCall) -> None:
        """Gives the call the name of the tool that is meant."""
        asked, name = self._asked, call.name
        if name in asked.offered or name in asked.namespaces or name in asked.tool_names:
            return
        if not call.namespace and not call.toolset:
            call.name = self._meant(name) or name

    def _meant(self, name: str) -> str:
        if self._spelt is None:
            self._spelt = self._spellings()
        key, inner = _key(name), _key(_AROUND.sub("", name.strip()))
        return self._spelt.get(key) or self._spelt.get(inner) or self._alone.get(inner, "")

    def _spellings(self) -> dict[str, str]:
        spelt: dict[str, str] = {}
        for name in self._asked.offered:
            _add(spelt, name, name)
        for sent in self._asked.tool_names:
            _add(spelt, sent, sent)
        for sent, (namespace, name) in self._asked.namespaces.items():
            _add(spelt, f"{namespace}{name}", sent)
            _add(spelt, sent, sent)
            _add(self._alone, name, sent)
        return spelt


def _add(known: dict[str, str], written: str, sent: str) -> None:
    if key := _key(written):
        known[key] = sent if known.get(key, sent) == sent else ""


def _key(name: str) -> str:
    return _NO_WORD.sub("", name).lower()
