"""Why a test is skipped: what this machine lacks, and how it can be had."""

from __future__ import annotations

import shutil

import pytest

TRAFFIC = "no recorded traffic: set RECORDED_TRAFFIC to its folder, or put it at ../shared/traffic"
CLIENTS = "no requests of real clients: they lie in clients/requests, beside the recorded traffic (RECORDED_TRAFFIC)"


def program(name: str, package: str = "", path: str | None = None) -> pytest.MarkDecorator:
    """A mark for what needs it. package: of Debian, if it has another name. path: where it may be."""
    return pytest.mark.skipif(shutil.which(name, path=path) is None, reason=missing(name, package))


def missing(name: str, package: str = "") -> str:
    return f"not installed: {name} (Debian: apt install {package or name})"
