# shellcheck shell=bash
# Sourced by the scripts that build a referee: a small Go program beside them that asks somebody else's
# library what it makes of what we print.

# build_referee NAME MODULE@VERSION...: builds NAME/main.go with these modules, once, and prints where it
# is. Wants Go 1.25 or later, or one that fetches it.
build_referee() {
    local name=$1 here cache built work
    shift
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/$name
    # Other versions are another program.
    built=$cache/$name-$(printf '%s\n' "$@" | sha256sum | cut -c 1-16)
    PATH=$PATH:/usr/local/go/bin
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [ ! -x "$built" ] || [ "$here/$name/main.go" -nt "$built" ]; then
        command -v go >/dev/null || { echo "$name: no go: install Go 1.25 or later (https://go.dev/dl)" >&2; return 1; }
        work=$(mktemp -d)
        # shellcheck disable=SC2064 # the folder of this call
        trap "rm -rf '$work'" EXIT
        cp "$here/$name/main.go" "$work/"
        (
            cd "$work" && go mod init "$name" && go get "$@" &&
                CGO_ENABLED=0 go build -mod=mod -o "$built.part" .
        ) >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
        mv "$built.part" "$built"
    fi
    echo "$built"
}
