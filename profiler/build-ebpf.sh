#!/usr/bin/env bash
# Rebuilds every eBPF object of the tree with the pinned compiler, next to its C file, or into
# the folder given as the first argument (to compare). Cargo alone never needs this: the objects are
# committed.
#
# The compiler is the clang inside the PyPI wheel `ziglang`: the same bytes on every machine, without
# root. Two builds in two folders are identical byte for byte.
set -euo pipefail
version=0.14.1
sha256=6eb9d4d759b292c83810dbee2e9e8e3fbfbf01d864e6e9811bae711fd74e1c2f
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/ziglang-$version
if [ ! -x "$cache/ziglang/zig" ]; then
    echo "installing the pinned compiler: ziglang $version from PyPI into $cache (some 80 MB)" >&2
    mkdir -p "$cache"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$cache" "ziglang==$version"
    if [ "$(uname -m)" = x86_64 ]; then
        echo "$sha256  $(echo "$cache"/ziglang-*.whl)" | sha256sum --check --quiet
    fi
    python3 -m zipfile -e "$cache"/ziglang-*.whl "$cache"
    chmod +x "$cache/ziglang/zig"
    rm "$cache"/ziglang-*.whl
fi
cd "$here/.."
find profiler/src bench/src -name '*.bpf.c' | sort | while read -r source; do
    object=${out:-.}/${source%.c}.o
    mkdir -p "$(dirname "$object")"
    "$cache/ziglang/zig" clang -target bpfel-freestanding-none -mcpu=v3 -g -O2 -Wall -Werror \
        -ffile-prefix-map="$PWD"=. -c "$source" -o "$object"
    echo "$object"
done
