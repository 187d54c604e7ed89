"""Optional requirements: packages that only some settings need.

extras/NAME.txt pins each of them. `ensure` runs once, before anything is served: what the settings need and nobody has
installed is installed into the virtual environment that run.sh has made. Elsewhere (a bundle, a package of the system)
the installing is not the proxy's to do, so `ensure` says what to type.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from operate import installation, key_sources
from operate.settings.load import Settings


class Extra(Struct, frozen=True):
    """One optional requirement. name: of its file in extras/. module: what is imported of it. package: what pip calls
    it."""

    name: str
    module: str
    package: str

    def is_here(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # the package that would hold the module is not there
            return False


GOOGLE = Extra("google", "google.oauth2", "google-auth")


def _has_google_account(settings: Settings) -> bool:
    upstreams = (up for up in settings.upstreams.values() if up.enabled)
    return any(key.startswith(key_sources.GOOGLE) for up in upstreams for key in up.credentials)


OTEL = Extra("otel", "opentelemetry.exporter.otlp.proto.http", "opentelemetry-exporter-otlp-proto-http")

NEEDS: tuple[tuple[Extra, str, Callable[[Settings], bool]], ...] = (
    (Extra("redis", "redis", "redis"), "[shared] url", lambda settings: bool(settings.shared.url)),
    (OTEL, "[telemetry] otlp_endpoint", lambda settings: bool(settings.telemetry.otlp_endpoint)),
    (Extra("tokenizers", "bpe_openai", "bpe-openai"), "[counting] exact", lambda settings: settings.counting.exact),
    (GOOGLE, "[upstream NAME] api_key = google:FILE", _has_google_account),
)
"""Each extra, the setting that needs it, and whether given settings do."""


def needed(settings: Settings) -> list[tuple[Extra, str]]:
    return [(extra, setting) for extra, setting, is_needed in NEEDS if is_needed(settings)]


class Missing(Exception):
    """Says which setting needs which package, and how to install it."""


def ensure(needed: Iterable[tuple[Extra, str]], say: Callable[[str], object]) -> None:
    """Installs what is missing, or raises Missing. needed: each extra, with the setting that needs it. say: tells the
    user what is installed."""
    for extra, setting in needed:
        if extra.is_here():
            continue
        file = installation.PROGRAM / "extras" / f"{extra.name}.txt"
        if Path(sys.prefix) != installation.PROGRAM / ".venv" or not file.is_file():
            raise Missing(f"{setting} needs the package {extra.package}, which is not installed: {_advice(extra)}")
        say(f"Installing {extra.package}, which {setting} needs ...")
        _install(extra, setting, file)
        importlib.invalidate_caches()


def _install(extra: Extra, setting: str, file: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--require-hashes", "-r"]
    wheels = installation.PROGRAM / "wheels"
    offline = ["--no-index", "--find-links", str(wheels)] if wheels.is_dir() else []  # an unzipped bundle
    done = subprocess.run([*pip, str(file), *offline], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Missing(
            f"{setting} needs the package {extra.package}, and installing it failed: {said}\n"
            f"To try it by hand: {sys.executable} -m pip install -r {file}"
        )


def _advice(extra: Extra) -> str:
    if installation.facts():  # a bundle: it has its own interpreter settings, but reads PYTHONPATH
        return (
            f"pip install --target DIR {extra.package}, then start with PYTHONPATH=DIR; or take a bundle that has it "
            f"inside (in a checkout: ./run.sh bundle --with {extra.name})"
        )
    return f"{sys.executable} -m pip install {extra.package}"
