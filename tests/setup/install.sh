# shellcheck shell=bash
# Sourced by ./try and ./check: finds what is missing, says what it installs, installs it. Where
# nothing is missing it does nothing, and asks no server.

# The oldest toolchain that builds the workspace (`rust-version` in Cargo.toml).
RUST=1.95

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "This needs root: run it as root or install sudo: $*" >&2
        return 1
    fi
}

# Programs of root's are not in everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# need_packages PACKAGE=WITNESS...: WITNESS is a program or a file that tells that PACKAGE is there;
# `dpkg` where only the package manager can tell.
need_packages() {
    local pair witness missing=()
    for pair in "$@"; do
        witness=${pair#*=}
        case $witness in
        dpkg) dpkg-query -W -f='${Status}' "${pair%%=*}" 2>/dev/null | grep -q 'ok installed' || missing+=("${pair%%=*}") ;;
        /*) [ -e "$witness" ] || missing+=("${pair%%=*}") ;;
        *) command -v "$witness" >/dev/null || missing+=("${pair%%=*}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "Missing: ${missing[*]}. Install them; by itself this script only knows apt." >&2
        return 1
    fi
    echo "Installing with apt: ${missing[*]}"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# recent_enough COMMAND...: whether this cargo is at least $RUST.
recent_enough() {
    local version
    version=$("$@" --version 2>/dev/null | awk '{print $2}') || return 1
    [ -n "$version" ] && [ "$(printf '%s\n' "$RUST" "$version" | sort -V | head -n 1)" = "$RUST" ]
}

# Leaves a cargo in PATH that is recent enough: the one that is there, else rustup's.
need_rust() {
    recent_enough cargo && return 0
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    recent_enough cargo && return 0
    if ! command -v rustup >/dev/null; then
        echo "Installing Rust $RUST with rustup into ${CARGO_HOME:-$HOME/.cargo} (https://rustup.rs)"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -y -q --no-modify-path --profile minimal --default-toolchain "$RUST" --component rustfmt --component clippy
    fi
    if ! recent_enough cargo; then
        export RUSTUP_TOOLCHAIN=$RUST
        recent_enough cargo && return 0
        echo "Installing Rust $RUST with rustup"
        rustup toolchain install "$RUST" --profile minimal --component rustfmt --component clippy
    fi
    recent_enough cargo || {
        echo "No cargo of at least $RUST; found: $(cargo --version 2>&1)" >&2
        return 1
    }
}

# rustfmt and clippy for that cargo.
need_rust_components() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
    echo "Installing rustfmt and clippy with rustup"
    rustup component add rustfmt clippy
}

# Leaves a Go in PATH that can fetch the toolchain that a module asks for (1.21 and later): the one that
# is there, else Debian 13's, unpacked into the cache. Only referees of the tests are built with it.
need_go() {
    local version folder
    version=$(go env GOVERSION 2>/dev/null | sed 's/^go//') || true
    [ -n "$version" ] && [ "$(printf '%s\n' 1.21 "$version" | sort -V | head -n 1)" = 1.21 ] && return 0
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/go
    if [ ! -e "$folder/.complete" ]; then
        echo "Unpacking Debian 13's Go into $folder"
        # shellcheck source=tests/setup/debian-suite.sh
        . tests/setup/debian-suite.sh
        rm -rf "$folder" "$folder.debs"
        mkdir -p "$folder"
        download_packages trixie "$folder.debs" golang-1.24-go golang-1.24-src
        for package in "$folder.debs"/*.deb; do dpkg -x "$package" "$folder"; done
        rm -rf "$folder.debs"
        touch "$folder/.complete"
    fi
    export GOROOT=$folder/usr/lib/go-1.24 GOTOOLCHAIN=auto
    PATH=$GOROOT/bin:$PATH
}
