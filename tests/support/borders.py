"""The borders of the house: who may import whom, and what no file may contain.

The project is read as text (`ast`), nothing is imported. Imports run downward only: bundle -> proxy -> console ->
gateway -> {translate, upstream, operate}, and demo beside gateway; the three on the ground do not know each other;
conformance is a witness, and knows of the others only how the program was started; translate is pure, so it has the
standard library less what does I/O, reads a clock or throws dice, and readers of JSON. No two files import each other,
be it through others. An import that only a type checker sees, or that a function makes, counts like any other.
Each rule is a function from a tree to complaints ("path:line: what").
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BELOW = {
    "bundle": {"proxy", "operate"},
    "proxy": {"console", "demo", "gateway", "translate", "upstream", "operate"},
    "console": {"demo", "gateway", "translate", "upstream", "operate"},
    "conformance": {"operate.installation", "operate.version"},
    "bench": {"operate"},
    "demo": {"translate", "upstream", "operate"},
    "gateway": {"translate", "upstream", "operate"},
    "translate": set(),
    "upstream": set(),
    "operate": {"translate.dialects"},  # which protocols there are
}
# Used where they are installed, never needed.
OPTIONAL = {"redis", "opentelemetry", "google.auth", "google.oauth2", "bpe_openai"}  # of extras/
LATER = {"compression"}  # of the standard library, from 3.14 on

IMPURE = {
    *("asyncio", "asyncore", "concurrent", "contextvars", "ctypes", "datetime", "ftplib", "getpass", "glob"),
    *("http", "imaplib", "locale", "logging", "multiprocessing", "mmap", "os", "pathlib", "platform"),
    *("poplib", "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket"),
    *("socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid", "zoneinfo"),
    *("urllib.request", "warnings", "webbrowser"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}

TEXT = {".py", ".sh", ".md", ".ini", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ".sse", ".html", ""}
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b")
MACHINE = re.compile(
    r"/wor[k]/(?:main|shared)\b|/roo[t]/|/tmp/[v]\b|/opt/(?:pyp[i]|wheel[s])"
    r"|/(?:home|Users)/(?!user/|you/|alice/)\w+/|pypi\.or[g]|pythonhosted\.or[g]"
)


def code_files(root: Path) -> Iterator[tuple[str, Path]]:
    """(house, file) of every .py file of the program: house is "proxy" or the name of a package."""
    if (root / "proxy.py").exists():
        yield "proxy", root / "proxy.py"
    for house in BELOW:
        for path in sorted((root / house).rglob("*.py")):
            yield house, path


def text_files(root: Path) -> list[Path]:
    """Every text file that is, or would be, in version control; without git every one that is not hidden."""
    ask = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(ask, capture_output=True, check=True).stdout.decode().split("\0")
        paths = [root / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        parts = {path: path.relative_to(root).parts for path in root.rglob("*")}
        paths = [path for path, names in parts.items() if not any(n[0] == "." or n == "logs" for n in names)]
    return sorted(path for path in paths if path.is_file() and path.suffix in TEXT)


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a file imports, wherever it stands; relative names made absolute."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *(node.module or "").split("."))).strip(".")
            # "from urllib import request" reaches urllib.request, and "from .. import gateway" gateway.
            yield from ((node.lineno, f"{origin}.{alias.name}".strip(".")) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func)
            if called in {"__import__", "import_module", "importlib.import_module"}:
                yield node.lineno, str(node.args[0].value)


def within(name: str, modules: set[str]) -> bool:
    """Whether a dotted name is, or lies below, one of the modules."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def wrong_directions(root: Path) -> list[str]:
    """Imports of another house that is not below."""
    return [
        f"{path.relative_to(root)}:{line}: {house} imports {name}"
        for house, path in code_files(root)
        for line, name in imports(path, root)
        if within(name, BELOW.keys() | {"tests"} - {house}) and not within(name, BELOW[house] | {house})
    ]


def modules(root: Path) -> dict[str, Path]:
    """The program's own files, by the name that they are imported by."""
    found = {}
    for _, path in code_files(root):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def circles(root: Path) -> list[str]:
    """Files that import each other: each circle as the imports that make it."""
    own = modules(root)
    edges: dict[str, dict[str, str]] = {}
    for name, path in own.items():
        edges[name] = {}
        for line, imported in imports(path, root):
            target = imported
            while target and target not in own:
                target = target.rpartition(".")[0]
            if target and target != name:
                edges[name].setdefault(target, f"{path.relative_to(root)}:{line} -> {own[target].relative_to(root)}")
    found = []
    for circle in _strongly_connected({name: set(to) for name, to in edges.items()}):
        found.append("\n".join(edges[a][b] for a in sorted(circle) for b in sorted(edges[a]) if b in circle))
    return found


def _strongly_connected(edges: dict[str, set[str]]) -> list[set[str]]:
    """Sets of names that all lead to each other, by peeling off whatever leads nowhere or comes from nowhere."""
    left = dict(edges)
    while peel := [name for name in left if not edges[name] & left.keys()]:
        for name in peel:
            del left[name]
    found: list[set[str]] = []
    while left:
        start = next(iter(left))
        back: dict[str, set[str]] = {}
        for name in left:
            for to in edges[name] & left.keys():
                back.setdefault(to, set()).add(name)
        circle = _reached(start, edges, left) & _reached(start, back, left)
        if len(circle) > 1:
            found.append(circle)
        for name in circle:
            del left[name]
    return found


def _reached(start: str, edges: dict[str, set[str]], among: Collection[str]) -> set[str]:
    seen, next_ones = {start}, [start]
    while next_ones:
        for to in edges.get(next_ones.pop(), set()):
            if to in among and to not in seen:
                seen.add(to)
                next_ones.append(to)
    return seen


def hidden(root: Path) -> list[str]:
    """Blocks of imports that only a type checker sees: a sign that two files want to import each other."""
    return [
        f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node.test)}"
        for _, path in code_files(root)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]


def unexplained(root: Path) -> list[str]:
    """`type: ignore` without words that say why."""
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for _, path in code_files(root)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*type:\s*ignore", line) and not re.search(r"#\s*type:\s*ignore\[[\w, -]+\]\s+# \w+", line)
    ]


JSON = {"msgspec", "ujson"}


def strangers(root: Path) -> list[str]:
    """Imports of packages that requirements.txt does not name; in translate, of any but readers of JSON."""
    pins = re.findall(r"^([\w.-]+)==", (root / "requirements.txt").read_text(), re.MULTILINE)
    needs = {pin.lower().replace("-", mark) for pin in pins for mark in "_."}  # backports-zstd is backports.zstd
    return [
        f"{path.relative_to(root)}:{line}: {name} is not among what {house} may use"
        for house, path in code_files(root)
        for line, name in imports(path, root)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not within(name, BELOW.keys() | (JSON if house == "translate" else needs | OPTIONAL | LATER))
    ]


def impurities(root: Path) -> list[str]:
    """What in translate could do I/O, read a clock or throw dice."""
    found = []
    for house, path in code_files(root):
        if house != "translate":
            continue
        place = path.relative_to(root)
        found += [f"{place}:{line}: imports {n}" for line, n in imports(path, root) if within(n, IMPURE)]
        found += [
            f"{place}:{node.lineno}: calls {node.func.id}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
        ]
    return found


def by_name(root: Path, names: frozenset[str]) -> list[str]:
    """Where a file outside of the protocols' own packages tells them apart by their names: a dictionary with such keys,
    a comparison with one, a case of a match. What differs between protocols stands in translate.dialect.Dialect."""
    own = {("translate", name) for name in names}
    return [
        f"{path.relative_to(root)}:{line}: {what}"
        for _, path in code_files(root)
        if path.relative_to(root).parts[:2] not in own
        for line, what in _told_apart(ast.parse(path.read_text()), names)
    ]


def _told_apart(tree: ast.AST, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = {word for key in node.keys if key is not None for word in _words(key)}
            pairs = any(isinstance(key, ast.Tuple) and _words(key) & names for key in node.keys)
            if pairs or len(keys & names) > 1 or (keys and keys <= names and _is_of_protocol(node)):
                yield node.lineno, f"a dictionary keyed by {', '.join(sorted(keys & names))}"
        elif isinstance(node, ast.Compare):
            found = {word for side in (node.left, *node.comparators) for word in _words(side)} & names
            if found:
                yield node.lineno, f"a comparison with {', '.join(sorted(found))}"
        elif isinstance(node, ast.MatchValue) and (found := _words(node.value) & names):
            yield node.lineno, f"a case of {', '.join(found)}"


def _words(node: ast.expr) -> set[str]:
    """The strings of an expression that is one, or that lists some."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return {word for item in node.elts for word in _words(item)}
    return set()


def _is_of_protocol(node: ast.Dict) -> bool:
    """Not {"messages": [...]}, which is the body of a request."""
    return not all(isinstance(value, ast.List | ast.ListComp) for value in node.values)


def swallowed(root: Path) -> list[str]:
    """Handlers that take every exception and do nothing."""
    found = []
    for _, path in code_files(root):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            takes_all = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            if takes_all and all(_does_nothing(step) for step in node.body):
                found.append(f"{path.relative_to(root)}:{node.lineno}: an exception is swallowed")
    return found


def _does_nothing(step: ast.stmt) -> bool:
    is_constant = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
    return is_constant or isinstance(step, ast.Pass | ast.Continue)


def marks(root: Path, pattern: re.Pattern[str]) -> list[str]:
    """Lines of text files that hold the pattern."""
    return [
        f"{path.relative_to(root)}:{number}: {hit.group()}"
        for path in text_files(root)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (hit := pattern.search(line))
    ]
