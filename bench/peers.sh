#!/usr/bin/env bash
# Installs the programs that `dunnage-bench cost` and `plugin` set Dunnage beside, as far as they can be
# had here, into the cache: ~/.cache/dunnage/peers. Says of each whether it is there and why not. What is
# installed already, there or in PATH, is left alone.
#
#   bench/peers.sh [NAME...]       all, or some of: cadvisor rezolus below netdata docker
#                                  generic-device-plugin intel-gpu-plugin nvidia-device-plugin
#
# cAdvisor and what is written in Rust are built from their published sources with the toolchains at hand
# (Go; cargo with clang 16 or newer, libelf and protoc for the eBPF parts); each gets 20 minutes. Netdata comes as the distribution's
# package, unpacked and not installed, so that no service is started. The device plugins are built at fixed
# commits of their public repositories; NVIDIA's gets a stand-in for its library, since without a GPU
# there is none.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/peers
limit=1200
PATH=$PATH:/usr/local/go/bin
mkdir -p "$peers"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

there() { [ -x "$peers/$1" ] || type -P "${1##*/}" >/dev/null; }
wants() { type -P "$1" >/dev/null || { echo "$1 is missing"; return 1; }; }

# The eBPF parts of the peers need a newer clang than some distributions call by that name.
new_clang() {
    local found
    for found in clang-2{2,1,0} clang-1{9,8,7,6} clang; do
        type -P "$found" >/dev/null || continue
        [ "$("$found" -dumpversion | cut -d. -f1)" -ge 16 ] || continue
        mkdir -p "$work/bin"
        ln -sf "$(type -P "$found")" "$work/bin/clang"
        return 0
    done
    echo "no clang 16 or newer (Debian 12: apt-get install clang-19)"
    return 1
}

cadvisor() {
    local version=v0.57.0
    wants go || return 1
    mkdir "$work/cadvisor" && cd "$work/cadvisor" && cp "$here/peers/cadvisor/main.go" . || return 1
    go mod init cadvisor-peer && go get "github.com/google/cadvisor@$version" && go mod tidy &&
        timeout $limit go build -o "$peers/cadvisor" .
}

crate() {
    local name=$1 version=$2
    wants cargo && new_clang || return 1
    PATH=$work/bin:$PATH CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        timeout $limit cargo install --locked --quiet --root "$work/$name" --target-dir "$work/$name/target" "$name@$version" &&
        cp "$work/$name/bin/$name" "$peers/$name"
}

rezolus() { crate rezolus 5.4.0; }
below() { crate below 0.9.0; }

netdata() {
    local package
    wants apt-get && wants dpkg || return 1
    mkdir "$work/netdata" && cd "$work/netdata" || return 1
    # Older distributions have one package, newer ones the program apart.
    for package in netdata-core netdata; do
        apt-get -qq -o APT::Sandbox::User=root download "$package" 2>/dev/null && break
    done
    mkdir root && dpkg -x ./*.deb root && [ -x root/usr/sbin/netdata ] || { echo "no package has it"; return 1; }
    if ldd root/usr/sbin/netdata | grep "not found"; then
        echo "install the libraries above"
        return 1
    fi
    rm -rf "$peers/netdata" && mv root "$peers/netdata"
}

# A Go program of a repository at a commit, as that repository's own module builds it.
go_program() {
    local name=$1 repository=$2 commit=$3 package=$4
    wants go && wants git || return 1
    git init -q "$work/$name" && cd "$work/$name" &&
        git fetch -q --depth 1 "https://github.com/$repository" "$commit" && git checkout -q FETCH_HEAD &&
        timeout $limit go build -mod=mod -trimpath -ldflags "-s -w" -o "$peers/$name" "$package"
}

generic-device-plugin() {
    CGO_ENABLED=0 go_program generic-device-plugin squat/generic-device-plugin \
        179b1fee5dcbf259b9940b4a233f95aefaec96e8 .
}

intel-gpu-plugin() {
    CGO_ENABLED=0 go_program intel-gpu-plugin intel/intel-device-plugins-for-kubernetes \
        1a407221a18992878dca827d080f6a16095fed43 ./cmd/gpu_plugin
}

nvidia-device-plugin() {
    wants cc || return 1
    mkdir -p "$peers/nvidia-stand-in" &&
        cc -shared -fPIC -Wall -O2 -DDRIVER_VERSION='"550.54.15"' -o "$peers/nvidia-stand-in/libnvidia-ml.so.1" \
            "$here/../tests/setup/nvidia-ml.c" || return 1
    wants go || return 1
    local module=github.com/NVIDIA/k8s-device-plugin@v0.17.4 source
    source=$(go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [ -n "$source" ] || { echo "$module cannot be had"; return 1; }
    cp -r "$source" "$work/nvidia" && chmod -R u+w "$work/nvidia" && cd "$work/nvidia" &&
        timeout $limit go build -mod=mod -trimpath -ldflags "-s -w '-extldflags=-Wl,--export-dynamic -Wl,--unresolved-symbols=ignore-in-object-files -Wl,-z,lazy'" \
            -o "$peers/nvidia-device-plugin" ./cmd/nvidia-device-plugin
}

docker() {
    echo "comes with the distribution's docker.io; busybox-static gives the image of its containers"
    return 1
}

program() {
    case $1 in
    netdata) echo netdata/usr/sbin/netdata ;;
    docker) echo dockerd ;;
    *) echo "$1" ;;
    esac
}

[ $# -gt 0 ] || set -- cadvisor rezolus below netdata docker \
    generic-device-plugin intel-gpu-plugin nvidia-device-plugin
for name in "$@"; do
    if there "$(program "$name")"; then
        echo "$name: is there"
    elif ("$name") >"$work/log" 2>&1; then
        echo "$name: installed"
    else
        echo "$name: not to be had here: $(grep -v '^$' "$work/log" | tail -n 1)"
    fi
done
