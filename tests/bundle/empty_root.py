"""./run.sh test-bundle: the one file and the zip in an empty root, offline, as nobody, and read-only.

It needs to be root on Debian with debootstrap (apt install debootstrap), and a minute or two. The root is made once and
kept below the system's temporary folder. Everything that runs in it runs in network and mount namespaces of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bundle import build, contents

ROOT = Path(tempfile.gettempdir()) / "anthropic-proxy-empty-root"
ASK = """
import json, urllib.request as u
body = json.dumps({"model": "demo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
request = u.Request("http://127.0.0.1:8082/v1/messages", body, {"content-type": "application/json"})
print(json.load(u.urlopen(request, timeout=10))["content"][0]["text"])
"""
# $1: what to start. Waits for it, asks it once, ends it; the code is its own.
START = """
ip link set lo up 2>/dev/null || python3 - <<'P'
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
P
%(before)s
%(run)s >/tmp/said 2>&1 & pid=$!
for n in $(seq 300); do grep -q Ctrl-C /tmp/said && break; kill -0 $pid 2>/dev/null || break; sleep 0.1; done
python3 -c '%(ask)s' || { cat /tmp/said; exit 1; }
kill $pid; wait $pid
"""


def main() -> int:
    if os.geteuid() or not shutil.which("debootstrap"):
        print("test-bundle: needs root, and debootstrap (apt install debootstrap)", file=sys.stderr)
        return 69
    out = Path(tempfile.mkdtemp(prefix="bundle-"))
    here = contents.stem(build.PYTHONS[0], "linux-x86_64")
    built = []
    for _ in range(2):
        if build.main(["--python", "3.11", "--platform", "linux-x86_64", "--out", str(out)]):
            return 1
        built.append({path.name: path.read_bytes() for path in out.iterdir() if path.is_file()})
    if not (ROOT / "usr/bin/python3").exists():
        print("making an empty Debian in", ROOT)
        command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv", "bookworm", str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    place = ROOT / "opt/proxy"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copy(out / f"{here}.pyz", place / "proxy.pyz")
    shutil.unpack_archive(out / f"{here}.zip", place)
    folder = next(each for each in place.iterdir() if each.is_dir())
    (folder / "run.sh").chmod(0o755)  # Python's unzip forgets it
    cases: dict[str, Callable[[], bool]] = {
        "the same bytes, built twice": lambda: built[0] == built[1] and len(built[0]) == 5,
        "as root": lambda: started("python3 /opt/proxy/proxy.pyz"),
        "as nobody, with a cache of its own": lambda: started(as_nobody("--cache /tmp/c")),
        "as nobody without a home": lambda: refused(as_nobody(""), "--cache FOLDER"),
        "read-only root": lambda: started(as_nobody("--cache /tmp/c --set logging.dir=stderr"), READ_ONLY),
        "read-only root, nowhere to log": lambda: started(as_nobody("--cache /tmp/c"), READ_ONLY),
        "noexec cache": lambda: refused(as_nobody("--cache /tmp/c"), "noexec", "mount -t tmpfs -o noexec tmpfs /tmp"),
        "full cache": lambda: refused(as_nobody("--cache /tmp/c"), "Make room", "mount -t tmpfs -o size=3m tmpfs /tmp"),
        "the zip": lambda: started(f"/opt/proxy/{folder.name}/run.sh"),
    }
    failed = 0
    for name, case in cases.items():
        begun = time.monotonic()
        good = case()
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {time.monotonic() - begun:5.1f} s  {name}", flush=True)
    shutil.rmtree(out)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


READ_ONLY = "mount --bind / /mnt && mount -o remount,ro,bind / && mount -t tmpfs tmpfs /tmp"


def as_nobody(options: str) -> str:
    return f"setpriv --reuid 65534 --regid 65534 --clear-groups python3 /opt/proxy/proxy.pyz {options}"


def inside(script: str) -> subprocess.CompletedProcess[str]:
    """In the root, in namespaces of its own, with an empty environment."""
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
    mounts = f"mount --bind {ROOT} {ROOT}; mount -t proc proc {ROOT}/proc; mount -t tmpfs -o mode=1777 tmpfs {ROOT}/tmp"
    enter = f'{mounts}; exec chroot {ROOT} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -c "$1"'
    return subprocess.run([*command, enter, "sh", script], capture_output=True, text=True, timeout=180)


def started(run: str, before: str = "") -> bool:
    done = inside(START % {"run": run, "before": before, "ask": ASK})
    good = done.returncode == 0 and "demo" in done.stdout
    if not good:
        print(done.stdout, done.stderr, sep="\n")
    return good


def refused(run: str, words: str, before: str = "") -> bool:
    done = inside(f"{before}\n{run.replace('setpriv', 'HOME=/nonexistent setpriv')}")
    good = done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr
    if not good:
        print(done.returncode, done.stdout, done.stderr, sep="\n")
    return good


if __name__ == "__main__":
    sys.exit(main())
