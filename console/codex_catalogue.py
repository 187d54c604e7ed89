"""The catalogue of models for `./run.sh codex`: the one that Codex has, and the models of the proxy that Codex does not
know.

A file that Codex is given replaces its own catalogue for this run. So Codex is first asked for its own (`codex debug
models`), and each of those models stays as it is. Codex could ask the proxy by itself, but then it would keep the
answer in the user's folder, where it would also count for runs without the proxy.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

OPTION = "model_catalog_json"
PATIENCE_S = 20.0  # for Codex to print its catalogue

Models = list[dict[str, Any]]


def options(
    binary: str, rest: list[str], environment: Mapping[str, str], told: Callable[[str, str], Models], folder: Path
) -> list[str]:
    """The words of the command line that name the file, which is written into the folder; none where the user names
    one, or where this Codex cannot tell what it brings. told: the proxy's entries for a version of Codex,
    with one for the model that is asked for."""
    if any(word.startswith(OPTION) for word in rest):
        return []
    brought = _brought(binary, environment)
    if not brought:
        return []
    own = {model.get("slug") for model in brought}
    entries = told(_version(binary, environment), _asked(rest))
    further = [entry for entry in entries if entry["slug"] not in own]
    if not further:
        return []
    file = folder / "models.json"
    file.write_text(json.dumps({"models": [*brought, *further]}))
    return ["-c", f"{OPTION}={json.dumps(str(file))}"]


def _asked(rest: list[str]) -> str:
    """The model that the command line names; "" where it names none."""
    for at, word in enumerate(rest):
        if word in ("-m", "--model"):
            return "".join(rest[at + 1 : at + 2])
        if word.startswith("--model="):
            return word.partition("=")[2]
    return ""


def _brought(binary: str, environment: Mapping[str, str]) -> Models:
    try:
        models = json.loads(_said([binary, "debug", "models", "--bundled"], environment))["models"]
        return [model for model in models if isinstance(model, dict)]
    except (ValueError, KeyError, TypeError):
        return []


def _version(binary: str, environment: Mapping[str, str]) -> str:
    """The version of Codex, as in "codex-cli 0.169.0"."""
    return (_said([binary, "--version"], environment).split() or [""])[-1]


def _said(command: list[str], environment: Mapping[str, str]) -> str:
    """The output of a command; "" = it failed."""
    try:
        done = subprocess.run(
            command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
