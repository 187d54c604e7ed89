#!/usr/bin/env bash
# Starts the proxy, after making what it needs.
#
#   ./run.sh [options]                         start the proxy (--help lists the options)
#   ./run.sh start [options]                   the same
#   ./run.sh doctor [UPSTREAM]                 try what an upstream can do, and say which settings fit it
#   ./run.sh stats [options]                   what the running proxy does, live in this terminal
#   ./run.sh usage [options]                   who spent what, by day, client, model or session
#   ./run.sh claude [...]                      Claude Code against this proxy, started if need be
#   ./run.sh codex [...]                       Codex likewise
#   ./run.sh key NAME                          make a key for a client, and the line of settings.ini that lets it in
#   ./run.sh conformance URL [options]         which protocols a server speaks, and how well: a table
#   ./run.sh bench [URL] [options]             what the proxy costs, beside going direct: tables and a picture
#   ./run.sh init [FILE]                       write a settings.ini of your own
#   ./run.sh help                              this list
#   ./run.sh test [options of pytest]          the whole test suite
#   ./run.sh chaos [--minutes N]               ten minutes of random faults: three upstreams, fifty clients
#   ./run.sh fuzz [--runs N] [--target NAME]   bytes that nobody would send, for every reader there is
#   ./run.sh check                             ruff, mypy --strict, the import borders, the audit of packages
#   ./run.sh bundle [options]                  make dist/: one file that has all inside, and a zip
#   ./run.sh install [FILE.pyz]                make it a systemd service on this machine, saying each step
#   ./run.sh uninstall [--purge]               undo that
#   ./run.sh test-bundle                       try the one file in an empty root, offline, as another user, read-only
#
# Each command takes --help. The list is console/commands.py's, which has a row for each; a test compares them.
#
# The packages live in .venv beside this file. A stamp in there names the requirement files (by hash) and
# the interpreter it was filled for: while it fits, a start calls neither pip nor a second Python. All that
# changes .venv happens under a lock; the stamp goes first and is written last, so that whatever was
# interrupted is done again. $PYTHON chooses the interpreter; PIP_INDEX_URL and the like are pip's own.

if [ -z "${BASH_VERSION:-}" ]; then
    echo "run.sh: this script needs bash: type  ./run.sh  (or  bash run.sh), without sh before it" >&2
    exit 2
fi
set -euo pipefail
unset CDPATH PYTHONHOME

self=${BASH_SOURCE[0]}
while [ -L "$self" ]; do
    target=$(readlink -- "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname -- "$self")/$target ;;
    esac
done
root=$(cd -P -- "$(dirname -- "$self")" && pwd)
venv=$root/.venv
log=$root/logs/install.log
oldest_minor=11 # Python 3.11

say() { printf '%s\n' "$*" >&2; }

# die PROBLEM [WHAT TO DO]...
die() {
    printf 'run.sh: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# --- which Python -------------------------------------------------------------------------------------

# Prints "3.11.7 1": the version, and whether it can make a virtual environment. Also runs on Python 2.
probe='
import sys
try:
    import ensurepip, venv
    able = 1
except ImportError:
    able = 0
print("%d.%d.%d %d" % (tuple(sys.version_info[:3]) + (able,)))
'

# new_enough 3.11.7
new_enough() {
    local major=${1%%.*} rest=${1#*.}
    [ "$major" -gt 3 ] || { [ "$major" = 3 ] && [ "${rest%%.*}" -ge "$oldest_minor" ]; }
}

# Prints the path of the newest Python that will do. Those that the tests run on come first: a newer one is
# better than none, but not better than one that is known to work.
find_python() {
    local name path answer version too_old='' unable=''
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3.15 python3.14 python3 python
    fi
    for name in "$@"; do
        path=$(command -v "$name" 2>/dev/null) || continue
        answer=$("$path" -c "$probe" 2>/dev/null) || continue
        version=${answer% *}
        if ! new_enough "$version"; then
            too_old=${too_old:-"$path is Python $version"}
        elif [ "${answer##* }" = 0 ]; then
            unable=${unable:-"$path (Python $version)"}
        else
            printf '%s\n' "$path"
            return
        fi
    done
    [ -z "$unable" ] || die_no_venv "$unable"
    local advice=(
        "Debian 12, Ubuntu 24.04 and newer:  sudo apt install python3 python3-venv"
        "Another interpreter can be named:   PYTHON=/path/to/python3.12 ./run.sh"
    )
    if [ -n "${PYTHON:-}" ]; then
        die "PYTHON=$PYTHON will not do: ${too_old:-it does not run}. Python 3.$oldest_minor or newer is needed." \
            "${advice[@]}"
    fi
    die "Python 3.$oldest_minor or newer is needed; ${too_old:-no Python was found on the PATH}." "${advice[@]}"
}

die_no_venv() {
    die "$1 cannot make virtual environments: its venv or ensurepip module is missing." \
        "Debian, Ubuntu:  sudo apt install python3-venv    (for another Python 3.N: python3.N-venv)" \
        "Then run this again. Another interpreter can be named: PYTHON=/path/to/python3.12 ./run.sh"
}

# --- .venv --------------------------------------------------------------------------------------------

# What the stamp for these requirement files has to say.
stamp_for() {
    local line version='' digest=cksum
    while IFS= read -r line; do
        case $line in 'version = '*) version=${line#version = } ;; esac
    done <"$venv/pyvenv.cfg"
    if have sha256sum; then digest=sha256sum; elif have shasum; then digest="shasum -a 256"; fi
    printf '%s %s %s\n' "$(cat -- "$@" | $digest)" "$version" "$(readlink -f -- "$venv/bin/python" || true)"
}

# is_ready KIND FILE...   cheap: it runs at every start
is_ready() {
    local kind=$1
    shift
    [ -x "$venv/bin/python" ] && [ -f "$venv/pyvenv.cfg" ] && [ -f "$venv/.stamp-$kind" ] || return 1
    [ "$(<"$venv/.stamp-$kind")" = "$(stamp_for "$@")" ] && is_chosen_python
}

# Whether .venv was made with the Python that $PYTHON asks for (the same 3.N will do).
is_chosen_python() {
    [ -n "${PYTHON:-}" ] || return 0
    local answer
    answer=$("$PYTHON" -c "$probe" 2>/dev/null) || return 1
    answer=${answer% *}
    [ -d "$venv/lib/python${answer%.*}" ]
}

# Whether packages can be installed into .venv as it is; runs only when no stamp fits.
is_usable() {
    [ ! -e "$venv/.half-made" ] && [ -x "$venv/bin/python" ] && is_chosen_python &&
        "$venv/bin/python" -I -c "
import sys
import pip
sys.exit(sys.version_info < (3, $oldest_minor) or sys.prefix == sys.base_prefix)" >/dev/null 2>&1
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    [ ! -e "$venv" ] || say "The .venv that is there will not do; making a new one."
    rm -rf -- "$venv"
    say "Making .venv with $python"
    mkdir -- "$venv"
    : >"$venv/.half-made"
    if ! "$python" -I -m venv "$venv" >>"$log" 2>&1; then
        rm -rf -- "$venv"
        if grep -qiE 'ensurepip|python3[0-9.]*-venv' "$log" && ! grep -qi 'no space left' "$log"; then
            die_no_venv "$python"
        fi
        die "making .venv failed: $(tail -n 1 -- "$log")" "All that was said is in $log"
    fi
    rm -f -- "$venv/.half-made"
}

# How pip words it. The last one is all that is left of a failed look-up when its own retries are off.
no_network='NewConnectionError|ConnectTimeout|Connection (refused|reset|aborted)|timed out|ProxyError|Max retries'
no_network=$no_network'|unreachable|name resolution|Name or service|SSLError|CERTIFICATE_VERIFY|from versions: none'

# install FILE   pip's words go to the log; what went wrong, and what to do, to the user
install() {
    local offline=()
    if [ -d "$root/wheels" ]; then # an unzipped bundle
        offline=(--no-index --find-links "$root/wheels")
    fi
    say "Installing what $(basename -- "$1") names (logs/install.log has the details) ..."
    PIP_USER=0 env -u PIP_TARGET -u PIP_PREFIX -u PIP_ROOT "$venv/bin/python" -I -m pip install \
        --require-hashes --no-input --disable-pip-version-check --retries "${PIP_RETRIES:-2}" \
        ${offline[@]+"${offline[@]}"} \
        -r "$1" >>"$log" 2>&1 && return
    say ''
    grep -E '^ *ERROR' -- "$log" | tail -n 3 | cut -c 1-300 | sed 's/^/  pip: /' >&2 || true
    local kept="All that pip said is in $log"
    if grep -qi 'no space left on device' "$log"; then
        die "the disk is full." "Make room (about 200 MB) and run this again." "$kept"
    elif grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        die "a package is not the one that was pinned, so nothing was installed." \
            "A mirror or proxy on the way may have changed it, or a download was cut: try again, or another index" \
            "(PIP_INDEX_URL=...). If it stays so, do not go round it." "$kept"
    elif grep -qE "$no_network" "$log"; then
        die "the packages could not be fetched: no network, or the package index cannot be reached." \
            "Only the first start needs it. Behind a proxy:   https_proxy=http://HOST:PORT ./run.sh" \
            "With an index of your own:                       PIP_INDEX_URL=https://HOST/simple ./run.sh" \
            "With the wheels in a folder:                     PIP_NO_INDEX=1 PIP_FIND_LINKS=/path ./run.sh" "$kept"
    elif grep -qE 'curl-config|Failed (to build|building)|subprocess-exited-with-error|command .*gcc.* failed' "$log"; then
        die "a package has no binary for this machine and Python, and building it failed." \
            "Another Python may have one:   PYTHON=python3.12 ./run.sh" \
            "Or give it what it builds with:   sudo apt install build-essential python3-dev libcurl4-openssl-dev libssl-dev" \
            "$kept"
    fi
    die "installing the packages failed." "$kept"
}

lock() {
    local held="$root/.venv.lock"
    have flock || return 0
    { exec 9>>"$held"; } 2>/dev/null || die_unwritable
    flock -n 9 && return
    say "Another run.sh is installing; waiting for it ..."
    flock -w 900 9 || die "another run.sh has been installing for 15 minutes." "If it hangs, end it and run this again."
}

unlock() { ! have flock || exec 9>&-; } # else the proxy would keep the lock as long as it lives

die_unwritable() {
    die "cannot write in $root, and the first start has to make .venv and logs there." \
        "Run it as the user who owns that folder, or:  sudo chown -R $(id -un) '$root'"
}

# ensure KIND FILE...   the last file is the one to install (it includes the others)
ensure() {
    is_ready "$@" && return
    lock
    if ! is_ready "$@"; then
        [ -w "$root" ] && mkdir -p -- "$root/logs" 2>/dev/null && { : >"$log"; } 2>/dev/null || die_unwritable
        is_usable || make_venv
        rm -f -- "$venv"/.stamp-*
        install "${!#}"
        stamp_for "$root/requirements.txt" >"$venv/.stamp-run"
        [ "$1" = run ] || stamp_for "${@:2}" >"$venv/.stamp-$1"
    fi
    unlock
}

ensure_run() { ensure run "$root/requirements.txt"; }
ensure_dev() { ensure dev "$root/requirements.txt" "$root/requirements-dev.txt"; }

# --- the commands -------------------------------------------------------------------------------------

check() {
    local failed=''
    cd -- "$root"
    say "== ruff" && "$venv/bin/python" -m ruff check . || failed="$failed ruff"
    say "== ruff format" && "$venv/bin/python" -m ruff format --check . || failed="$failed format"
    say "== mypy --strict" && "$venv/bin/python" -m mypy || failed="$failed mypy"
    say "== the same for macOS" &&
        "$venv/bin/python" -m mypy --platform darwin --cache-dir .mypy_cache/darwin || failed="$failed mypy-macos"
    say "== import borders" && "$venv/bin/python" -m pytest -q tests/test_borders.py || failed="$failed borders"
    say "== what is known against the packages" && "$venv/bin/python" -m bundle.audit || failed="$failed audit"
    [ -z "$failed" ] || die "check failed:$failed"
}

developer_module() { # the module that is a developer's command, which needs the checkout and its tools
    case $1 in
        chaos) echo tests.chaos ;;
        fuzz) echo tests.fuzz ;;
        bundle) echo bundle.build ;;
        test-bundle) echo tests.bundle.empty_root ;;
        *) return 1 ;;
    esac
}

# no_options NAME [WORD]...   of a command that takes nothing but --help: whoever asks must not start minutes of work
no_options() {
    [ $# -gt 1 ] || return 0
    case $2 in
        -h | --help) help | grep -- "^  \./run\.sh $1 "; exit ;;
    esac
    say "run.sh: '$1' takes no options, and there is '$2'"
    exit 2
}

help() { grep '^#   \./run\.sh' "$root/run.sh" | cut -c 3-; }

case ${1-} in
    help) help ;;
    install | uninstall) exec "$root/deploy/install.sh" "$@" ;;
    '' | -*)
        ensure_run
        exec "$venv/bin/python" "$root/proxy.py" "$@"
        ;;
    test)
        shift
        ensure_dev
        cd -- "$root"
        # tests/conftest.py says how many workers that is. Golden files are written by one process.
        case " $* " in
            *' -n'* | *' --update '* | *' --pdb '* | *' -s '*) ;;
            *) set -- "$@" -n auto --dist worksteal ;;
        esac
        # A build machine is shared, and some tests watch clocks: what fails there is run again, and reported as "rerun".
        [ -z "${CI:-}" ] || set -- "$@" --reruns 2 --reruns-delay 1
        exec "$venv/bin/python" -m pytest "$@"
        ;;
    check)
        no_options "$@"
        ensure_dev
        check
        ;;
    *)
        if module=$(developer_module "${1-}"); then
            [ "$1" != test-bundle ] || no_options "$@"
            shift
            ensure_dev
            cd -- "$root"
            exec "$venv/bin/python" -m "$module" "$@"
        fi
        if ! help | grep -q -- "^  \./run\.sh ${1//[^a-z-]/.} "; then
            printf "run.sh: there is no command '%s'\n" "$1" >&2
            help >&2
            exit 2
        fi
        ensure_run
        exec "$venv/bin/python" "$root/proxy.py" "$@"
        ;;
esac
