"""The start of the one file: it checks that this machine fits, unpacks the program once, and starts it.

Any Python may run it, so the first part has only syntax that Python 2.7 can read, and imports nothing before the check.
The parts go to a folder whose name has the hash of the contents. A new folder is filled under another name and then
renamed, so that two starts at the same time do not disturb each other. Each start compares the folder with the build,
and unpacks what differs. After that the file is not needed: it may be replaced while the program runs.
"""

import sys

EX_UNAVAILABLE = 69
EX_CANTCREAT = 73


def stop(words, code=EX_UNAVAILABLE):
    sys.stderr.write("anthropic-proxy: %s\n" % words)
    sys.exit(code)


def why_not_here(facts):
    """A sentence if this Python, machine or C library does not fit the parts; "" if all fit."""
    import os

    wanted = "CPython %d.%d on %s" % (facts["python"][0], facts["python"][1], facts["platform"])
    machine = os.uname()[4] if hasattr(os, "uname") else "unknown"
    name = getattr(getattr(sys, "implementation", None), "name", "python")
    here = "%s %d.%d on %s-%s" % ((name,) + tuple(sys.version_info[:2]) + (sys.platform.rstrip("2"), machine))
    fits = "anthropic-proxy-%s-py%d%d-%s-%s.pyz" % (
        (facts["version"],) + tuple(sys.version_info[:2]) + (sys.platform.rstrip("2"), machine)
    )
    if list(sys.version_info[:2]) != facts["python"]:
        if sys.version_info[:2] < (3, 11):
            return "this file is for %s, and this is %s: start it with python%d.%d" % (
                (wanted, here) + tuple(facts["python"])
            )
        return "this file is for %s, and this is %s: take %s, or start it with python%d.%d" % (
            (wanted, here, fits) + tuple(facts["python"])
        )
    if name != "cpython" or "t" in getattr(sys, "abiflags", ""):
        return "this file is for %s, and this is another build of Python (%s %s)" % (wanted, name, sys.abiflags)
    if "%s-%s" % (sys.platform, machine) != facts["platform"] or sys.maxsize < 2**32:
        bits = "" if sys.maxsize > 2**32 else " with 32 bits"
        return "this file is for %s, and this is %s%s: take %s" % (wanted, here, bits, fits)
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        libc = ""
    least = "glibc %d.%d or newer" % tuple(facts["glibc"])
    if not libc.startswith("glibc "):
        return "this file needs %s, and this system has another C library (musl?): install from source there" % least
    if [int(part) for part in libc.split()[1].split(".")[:2]] < facts["glibc"]:
        return "this file needs %s, and this system has %s: a newer system fits, or an install from source" % (
            least,
            libc,
        )
    return ""


def main():
    import json
    import os
    import zipfile

    file = os.path.abspath(sys.argv[0])
    archive = zipfile.ZipFile(file)
    stamp = archive.read("build.json")
    facts = json.loads(stamp.decode("ascii"))
    why = why_not_here(facts)
    if why:
        stop(why)
    cache, arguments = asked_cache(sys.argv[1:])
    folder = unpacked(archive, stamp, facts, cache)
    archive.close()
    sys.argv[1:] = arguments
    sys.path[:] = [each for each in sys.path if os.path.abspath(each) != file]
    sys.path[:0] = [os.path.join(folder, "program"), os.path.join(folder, "packages")]
    sys.dont_write_bytecode = True
    from pathlib import Path

    from operate import installation

    installation.started_as(Path(file).parent, (os.path.basename(sys.executable), sys.argv[0]))
    import proxy

    sys.exit(proxy.main(arguments))


def asked_cache(arguments):
    """Splits the words into (value of --cache, the other words). --cache may be anywhere among them."""
    rest, found = [], None
    words = iter(arguments)
    for word in words:
        if word == "--cache":
            found = next(words, None)
            if not found:
                stop("--cache needs the name of a folder", 2)
        elif word.startswith("--cache="):
            found = word[len("--cache=") :]
        else:
            rest.append(word)
    return found, rest


def cache_folder(asked):
    """The folder for the parts: --cache, systemd's CacheDirectory=, or the user's cache."""
    import os

    if asked:
        return os.path.abspath(asked)
    if os.environ.get("CACHE_DIRECTORY"):
        return os.environ["CACHE_DIRECTORY"].split(":")[0]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "anthropic-proxy")


def unpacked(archive, stamp, facts, asked):
    """The folder with the parts, after all of them were checked or unpacked."""
    import hashlib
    import os
    import shutil
    import tempfile

    cache = cache_folder(asked)
    folder = os.path.join(cache, "%s-%s" % (facts["version"], hashlib.sha256(stamp).hexdigest()[:20]))
    if not is_whole(folder, facts):
        try:
            if not os.path.isdir(cache):
                os.makedirs(cache, 0o700)
            half = tempfile.mkdtemp(prefix=".half-", dir=cache)
        except OSError as why:
            stop(
                "its parts cannot be unpacked in %s (%s): name another folder with --cache FOLDER"
                % (cache, why.strerror),
                EX_CANTCREAT,
            )
        try:
            fill(archive, facts, half)
            swap(half, folder, facts)
        except OSError as why:
            stop(
                "its parts (%d MB) could not be unpacked in %s: %s. Make room, or name a folder with --cache FOLDER"
                % (sum(size for size, _ in facts["files"].values()) * 2 // 1000000, cache, why.strerror),
                EX_CANTCREAT,
            )
        finally:
            shutil.rmtree(half, ignore_errors=True)
        if not is_whole(folder, facts):
            stop("what was unpacked in %s is not what was built: the disk, or somebody else, changes it" % folder)
    if hasattr(os, "ST_NOEXEC") and os.statvfs(folder).f_flag & os.ST_NOEXEC:
        stop(
            "%s is on a file system that is mounted noexec, and libraries have to be loaded from it: "
            "name another folder with --cache FOLDER" % cache,
            EX_CANTCREAT,
        )
    return folder


def is_whole(folder, facts):
    """Whether every part, also the compiled ones, is as it was built, and nobody else may write to the folder."""
    import hashlib
    import json
    import os

    try:
        owner = os.lstat(folder)
        if owner.st_uid != os.geteuid() or owner.st_mode & 0o077:
            return False
        expected = {name: digest for name, (_, digest) in facts["files"].items()}
        with open(os.path.join(folder, "compiled.json")) as opened:
            expected.update(json.load(opened))
        for name, digest in expected.items():
            with open(os.path.join(folder, name), "rb") as opened:
                if hashlib.sha256(opened.read()).hexdigest() != digest:
                    return False
    except (OSError, ValueError):
        return False
    return True


def fill(archive, facts, half):
    import compileall
    import hashlib
    import json
    import os

    for name in sorted(facts["files"]):
        path = os.path.join(half, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o700)
        with open(path, "wb") as made:
            made.write(archive.read(name))
        os.utime(path, (315532800, 315532800))
    compileall.compile_dir(half, quiet=2, stripdir=half, prependdir="anthropic-proxy")
    compiled = {}
    for folder, _, names in os.walk(half):
        for name in names:
            if name.endswith(".pyc"):
                with open(os.path.join(folder, name), "rb") as opened:
                    digest = hashlib.sha256(opened.read()).hexdigest()
                compiled[os.path.relpath(os.path.join(folder, name), half)] = digest
    with open(os.path.join(half, "compiled.json"), "w") as made:
        json.dump(compiled, made)


def swap(half, folder, facts):
    """Renames the new folder to its final name, unless another start has done so meanwhile."""
    import os
    import shutil

    for _ in range(3):
        try:
            os.rename(half, folder)
            return
        except OSError:
            if not os.path.isdir(folder):
                raise
        if is_whole(folder, facts):
            return
        old = "%s.old-%d" % (folder, os.getpid())
        try:
            os.rename(folder, old)  # running programs have loaded all that they need of it
        except OSError:
            continue
        shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    main()
