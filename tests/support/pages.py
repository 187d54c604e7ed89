"""Pages of docs/ whose end is made of the program's own tables: all that follows a mark."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- What follows is made by  {command}  and written over by it. -->"


def hold(name: str, test: str, lines: Iterable[str], update: bool) -> None:
    """docs/NAME ends with these lines. update: it is made so. test: the file of the test that asks."""
    page = ROOT / "docs" / name
    command = f"./run.sh test --update {Path(test).resolve().relative_to(ROOT)}"
    mark = MARK.format(command=command)
    written, found, rest = page.read_text().partition(mark)
    assert found, f"docs/{name} has no line {mark!r}"
    made = "\n" + "\n".join(lines).rstrip() + "\n"
    if update:
        page.write_text(written + mark + made)
    else:
        assert rest == made, f"docs/{name} is not what the program says: {command}"


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def head(*names: str) -> list[str]:
    return [row(*names), row(*("---" for _ in names))]


def plain(text: str) -> str:
    """Text of the program in Markdown: what looks like a tag or emphasis there is none."""
    return text.replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")
