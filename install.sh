#!/bin/sh
# Copies meshctl, meshd, their completions and man pages below PREFIX; nothing else.
# usage: ./install.sh [--uninstall]      environment: PREFIX (/usr/local), DESTDIR, CARGO_TARGET_DIR
set -eu
cd "$(dirname "$0")"

prefix=${DESTDIR:-}${PREFIX:-/usr/local}
release=${CARGO_TARGET_DIR:-target}/release

# Every installed file, as "mode source destination".
files() {
    for program in meshctl meshd; do
        echo "755 $release/$program $prefix/bin/$program"
    done
    echo "644 completions/meshctl.bash $prefix/share/bash-completion/completions/meshctl"
    echo "644 completions/_meshctl $prefix/share/zsh/site-functions/_meshctl"
    echo "644 completions/meshctl.fish $prefix/share/fish/vendor_completions.d/meshctl.fish"
    for page in man/*.[1578]; do
        echo "644 $page $prefix/share/man/man${page##*.}/${page##*/}"
    done
}

case ${1:-} in
'')
    for program in meshctl meshd; do
        if [ ! -x "$release/$program" ]; then
            echo "error: $release/$program is missing" >&2
            echo "  fix: make build" >&2
            exit 3
        fi
    done
    files | while read -r mode source destination; do
        install -D -m "$mode" "$source" "$destination"
    done
    echo "installed below $prefix; next: sudo meshctl install"
    ;;
--uninstall)
    files | while read -r _ _ destination; do
        rm -f "$destination"
    done
    echo "removed from $prefix"
    ;;
*)
    echo "usage: ./install.sh [--uninstall]" >&2
    exit 2
    ;;
esac
