#!/usr/bin/env bash
# Builds the referee for snippets (snippet-referee/main.go) with the libraries of Compose and of Nomad's
# language, once, and prints where it is. Wants Go 1.25 or later, or one that fetches it.
#
# Nomad's own job parser is a module of the whole of Nomad and needs a fork of this language's library.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
compose=v2.16.2 language=v2.25.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/snippet-referee
built=$cache/snippet-referee-$compose-$language
PATH=$PATH:/usr/local/go/bin
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -x "$built" ] || [ "$here/snippet-referee/main.go" -nt "$built" ]; then
    command -v go >/dev/null || { echo "snippet-referee.sh: no go: install Go 1.25 or later (https://go.dev/dl)" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cp "$here/snippet-referee/main.go" "$work/"
    cd "$work"
    {
        go mod init snippet-referee
        go get "github.com/compose-spec/compose-go/v2/loader@$compose" "github.com/hashicorp/hcl/v2/gohcl@$language"
        CGO_ENABLED=0 go build -mod=mod -o "$built.part" .
    } >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    mv "$built.part" "$built"
fi
echo "$built"
