#!/usr/bin/env bash
# Builds the referee for CDI (cdi-referee/main.go) with the library of the specification itself, once, and
# prints where it is. Wants Go 1.21 or later.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
library=v1.1.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/cdi-referee
built=$cache/cdi-referee-$library
PATH=$PATH:/usr/local/go/bin
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -x "$built" ] || [ "$here/cdi-referee/main.go" -nt "$built" ]; then
    command -v go >/dev/null || { echo "cdi-referee.sh: no go: install Go 1.21 or later (https://go.dev/dl)" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp "$here/cdi-referee/main.go" "$work/"
    cd "$work"
    {
        go mod init cdi-referee
        go get "tags.cncf.io/container-device-interface@$library" "tags.cncf.io/container-device-interface/specs-go@$library"
        go mod tidy
        CGO_ENABLED=0 go build -o "$built.part" .
    } >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    mv "$built.part" "$built"
fi
echo "$built"
