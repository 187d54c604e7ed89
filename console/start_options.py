"""The options of `start`, from the words of the command line."""

from __future__ import annotations

from collections.abc import Sequence

from console import commands
from operate import installation


class Options:
    """Its names are those of the options."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.host: str | None = None
        self.port: str | None = None
        self.set: list[str] = []
        self.check_config = self.print_config = False


def read(argv: Sequence[str], about: str) -> Options:
    """about: what --help says first. Exits after --help, --version and a fault."""
    options = Options()
    if not _are_plain(argv, options):
        options = Options()
        _parse(argv, options, about)
    for key in ("host", "port"):
        if (value := getattr(options, key)) is not None:
            options.set.append(f"server.{key}={value}")
    return options


def _are_plain(argv: Sequence[str], options: Options) -> bool:
    """Reads what most starts have, without argparse, whose loading takes them longer than all of their settings. False:
    something else is there (--help, an abbreviation, a fault), which argparse knows what to say to."""
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word in ("--check-config", "--print-config"):
            setattr(options, word[2:].replace("-", "_"), True)
        elif name in ("--config", "--host", "--port", "--set"):
            value = value if equals else next(words, "-")
            if value.startswith("-"):
                return False
            if name == "--set":
                options.set.append(value)
            else:
                setattr(options, name[2:], value)
        else:
            return False
    return True


def _parse(argv: Sequence[str], options: Options, about: str) -> None:
    import argparse

    parser = argparse.ArgumentParser(
        prog=installation.command(),
        description=about,
        epilog=f"commands:\n{commands.listing()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings file (default: settings.ini beside the program, else /etc/anthropic-proxy/settings.ini)",
    )
    parser.add_argument("--host", help="address to listen on, instead of [server] host")
    parser.add_argument("--port", help="port to listen on, instead of [server] port")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="use this value instead of the file's"
    )
    parser.add_argument("--check-config", action="store_true", help="say ok, or every error in the settings, and exit")
    parser.add_argument("--print-config", action="store_true", help="show each value and where it came from, and exit")
    parser.add_argument("--version", action="version", version=installation.described())
    parser.parse_args(argv, options)
