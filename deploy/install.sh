#!/usr/bin/env bash
# ./run.sh install [FILE.pyz] / ./run.sh uninstall [--purge]: the proxy as a systemd service on this machine, and away.
# Each step is said before it is done. DESTDIR=/some/folder puts the files there and starts nothing.
set -euo pipefail

here=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
to=${DESTDIR:-}
units=$to/etc/systemd/system
program=$to/opt/anthropic-proxy
settings=$to/etc/anthropic-proxy
readers=anthropic-proxy-settings # the group that may read the settings, which may hold keys; the unit is in it

step() { printf '%s\n' "- $*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }
# make_group: whoever else is on this machine must not read keys, and the service's user has a new number at each start
make_group() {
    [ -n "$to" ] || getent group "$readers" >/dev/null || { step "group: $readers"; systemd-sysusers --inline "g $readers -"; }
}
only_readers() { # FILE
    chmod 0640 "$1"
    [ -n "$to" ] || chgrp "$readers" "$1"
}
service() { [ -n "$to" ] || { step "systemctl $*"; systemctl "$@"; }; }

install_all() {
    local file=${1:-}
    if [ -z "$file" ]; then
        local python fits
        python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "/usr/bin/python3 does not run"
        fits="anthropic-proxy-*-py${python/./}-linux-$(uname -m).pyz" # the unit runs it with /usr/bin/python3
        file=$(find "$here/../dist" -maxdepth 1 -name "$fits" 2>/dev/null | sort -V | tail -n 1)
        [ -n "$file" ] || die "there is no bundle for Python $python yet: type  ./run.sh bundle --python $python  first, or name a FILE.pyz"
    fi
    [ -f "$file" ] || die "$file is not there"
    step "checking $file"
    cache=$(mktemp -d)
    trap 'rm -rf -- "$cache"' EXIT
    /usr/bin/python3 "$file" --version --cache "$cache" || die "it does not run with /usr/bin/python3"
    step "program: $program/anthropic-proxy.pyz (the one before stays as previous.pyz)"
    mkdir -p "$program" "$settings" "$units"
    make_group
    # The same file again leaves previous.pyz alone: it is what one goes back to.
    if [ -f "$program/anthropic-proxy.pyz" ] && ! cmp -s "$file" "$program/anthropic-proxy.pyz"; then
        cp -p "$program/anthropic-proxy.pyz" "$program/previous.pyz"
    fi
    install -m 0755 "$file" "$program/.new.pyz"
    mv -f "$program/.new.pyz" "$program/anthropic-proxy.pyz"
    if [ -f "$settings/settings.ini" ]; then
        step "settings: $settings/settings.ini is there already, and stays as it is"
        if [ -n "$(find -L "$settings/settings.ini" -perm -o=r)" ]; then
            step "others than root and the group $readers may no longer read it, since it may hold keys"
            only_readers "$settings/settings.ini"
        fi
    else
        step "settings: $settings/settings.ini (for root and the group $readers)"
        install -m 0600 "$here/../settings.ini" "$settings/settings.ini"
        only_readers "$settings/settings.ini"
    fi
    step "units: $units/anthropic-proxy.service, .socket"
    install -m 0644 "$here/anthropic-proxy.service" "$here/anthropic-proxy.socket" "$units/"
    service daemon-reload
    if [ -z "$to" ] && systemctl is-active --quiet anthropic-proxy; then
        service kill --kill-whom=main -s USR2 anthropic-proxy # the new release takes over, without a dropped request
    else
        service enable --now anthropic-proxy
    fi
    step "done. Keys: $settings/environment (NAME=value lines, mode 0600), then  systemctl restart anthropic-proxy"
}

uninstall_all() {
    [ -n "$to" ] || [ ! -f "$units/anthropic-proxy.service" ] || service disable --now anthropic-proxy.socket anthropic-proxy.service
    step "removing the units and $program"
    rm -f -- "$units/anthropic-proxy.service" "$units/anthropic-proxy.socket"
    rm -rf -- "$program"
    service daemon-reload
    if [ "${1:-}" = --purge ]; then
        step "removing $settings, the logs and the cache"
        rm -rf -- "$settings" "$to/var/log/anthropic-proxy" "$to/var/log/private/anthropic-proxy" \
            "$to/var/cache/anthropic-proxy" "$to/var/cache/private/anthropic-proxy"
        [ -n "$to" ] || ! getent group "$readers" >/dev/null || { step "removing the group $readers"; groupdel "$readers"; }
    else
        step "kept: $settings and the logs (--purge removes them too)"
    fi
}

usage() { printf 'usage: %s\n       %s\n' './run.sh install [FILE.pyz]' './run.sh uninstall [--purge]'; }

# All words are looked at before the first step, as a mistyped one, or --help, must not take a service away.
case "$*" in
    'install' | 'uninstall' | 'uninstall --purge') ;;
    *' -h' | *' --help') usage; exit ;;
    'install '*) [ $# = 2 ] && [ "${2#-}" = "$2" ] || { usage >&2; exit 2; } ;;
    *) usage >&2; exit 2 ;;
esac
[ -n "$to" ] || [ "$(id -u)" = 0 ] || die "needs root: type  sudo ./run.sh ${1:-install}"
[ -n "$to" ] || command -v systemctl >/dev/null || die "there is no systemd here"
case ${1:-} in
    install) install_all "${2:-}" ;;
    uninstall) uninstall_all "${2:-}" ;;
esac
