"""The command `anthropic-proxy` of pip, pipx and uvx. It becomes anthropic_proxy/__main__.py.

The program's packages have plain names (gateway, translate, ...). They are inside of anthropic_proxy, so that they do
not hide other packages of the same name. Settings and logs are in ~/.anthropic-proxy.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from operate import installation

    installation.started_as(Path.home() / ".anthropic-proxy", ("anthropic-proxy",))
    import proxy

    return proxy.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
