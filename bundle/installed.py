"""`anthropic-proxy`, as pip, pipx or uvx install it: becomes anthropic_proxy/__main__.py, beside the program.

The program's packages have plain names (gateway, translate, ...). They lie inside of anthropic_proxy, so that nobody
else's of such a name is hidden, and are found from there alone. Settings and logs are in ~/.anthropic-proxy.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from operate import place

    place.started_as(Path.home() / ".anthropic-proxy", ("anthropic-proxy",))
    import proxy

    return proxy.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
