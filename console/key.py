"""The command `key NAME`, which makes a key for a client.

It writes no file. The proxy needs only the hash, so that whoever can read its settings does not have the key.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from operate import client_keys, installation

_DOES = "Makes a key for a client, and prints it with the lines of settings.ini that the client needs."
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"{installation.command()} key", description=_DOES)
    parser.add_argument("name", metavar="NAME", help="name of the client: letters, digits, '-', '_' and '.'")
    parser.add_argument("--admin", action="store_true", help="the client may read the dashboard and the /debug pages")
    options = parser.parse_args(argv)
    if not _NAME.fullmatch(options.name):
        parser.error(f"a name may have only letters, digits, '-', '_' and '.': {options.name}")
    key = client_keys.made()
    print(f"The key of client '{options.name}', which is shown only this once:\n\n  {key}\n")
    print("Add these lines to settings.ini; they have only the hash of the key:\n")
    print(f"  [client {options.name}]\n  key = {client_keys.hashed(key)}" + "\n  admin = true" * options.admin + "\n")
    print("If there is such a section, add the new hash to the old one, with a comma between them, until the client")
    print("sends the new key. Then remove the old one.")
    return 0
