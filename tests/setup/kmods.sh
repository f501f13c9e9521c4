#!/usr/bin/env bash
# Prepares the kernel and the modules that the device tests in the virtual machine use: Debian's kernel
# 6.12 from bookworm-backports (the first that has both DRM's accel class and VFIO's device nodes), and
# the modules of tests/kmod, built for it from Debian's headers and source. Packages are downloaded and
# unpacked, not installed. Prints two lines: the kernel's folder and the modules'. Both are kept in
# ~/.cache/dunnage; remove them to get newer ones.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/setup/debian-suite.sh
. "$here/debian-suite.sh"
sources=$(cd "$here/../kmod" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage
kernel=$cache/vm/devices-kernel
packages=$cache/kmods/packages
mkdir -p "$cache/vm" "$cache/kmods"

say() { echo "kmods.sh: $*" >&2; }

# All of one version, in one go: modules fit the kernel whose headers they were built with.
download() {
    local image version part=$packages.part
    use_suite bookworm-backports
    image=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-6\.12/ {print $2; exit}')
    [ -n "$image" ] || { say "bookworm-backports has no kernel 6.12 any more"; return 1; }
    version=${image#linux-image-}
    say "downloading $image, its headers and its source (270 MB)"
    rm -rf "$part"
    mkdir -p "$part"
    (
        cd "$part"
        apt-get -qq download "$image" "linux-headers-$version" "linux-headers-${version%-amd64}-common" \
            "linux-kbuild-${version%-amd64}" linux-source-6.12
    )
    mv "$part" "$packages"
}

unpack_kernel() {
    local part=$kernel.part base
    rm -rf "$part"
    mkdir -p "$part"
    dpkg -x "$packages"/linux-image-*.deb "$part"
    base=$part
    [ -d "$part/usr/lib/modules" ] && base=$part/usr
    depmod -b "$base" "$(ls "$base/lib/modules")"
    mv "$part" "$kernel"
}

# Builds in a folder that goes away; only the modules stay.
build() {
    local into=$1 work headers source
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder's name as it is now
    trap "rm -rf '$work'" RETURN
    for package in "$packages"/linux-headers-*.deb "$packages"/linux-kbuild-*.deb; do
        dpkg -x "$package" "$work/headers"
    done
    headers=$(echo "$work"/headers/usr/src/linux-headers-*-amd64)
    # The headers say where they would be installed. Without vmlinux no BTF is made for the modules.
    sed -i "s#include /usr/src#include $work/headers/usr/src#" "$headers/Makefile"
    rm -f "$headers/vmlinux"
    dpkg-deb --fsys-tarfile "$packages"/linux-source-*.deb |
        tar -xO ./usr/src/linux-source-6.12.tar.xz |
        tar -xJ -C "$work" linux-source-6.12/drivers/fpga linux-source-6.12/samples/vfio-mdev
    source=$work/linux-source-6.12
    mkdir "$work/modules"
    cp "$source"/drivers/fpga/{fpga-mgr,fpga-bridge,fpga-region}.c "$source"/drivers/fpga/dfl*.[ch] \
        "$source/samples/vfio-mdev/mtty.c" "$sources"/*.c "$sources/Kbuild" "$work/modules"
    # Hardware comes out of a reset within the millisecond that the driver waits; an emulated CPU that
    # shares a busy machine does not.
    sed -i 's/^\(#define RST_POLL_TIMEOUT\).*/\1 5000000/' "$work/modules/dfl-afu-main.c"
    make -s -j"$(nproc)" -C "$headers" M="$work/modules" modules >"$work/log" 2>&1 || {
        say "building the modules failed:"
        tail -n 30 "$work/log" >&2
        return 1
    }
    mkdir -p "$into.part"
    for module in "$work"/modules/*.ko; do
        strip --strip-debug -o "$into.part/$(basename "$module")" "$module"
    done
    mv "$into.part" "$into"
}

# One at a time: several tests may ask at once.
exec 9>"$cache/kmods/lock"
flock 9
if [ ! -d "$packages" ] && { [ ! -d "$kernel" ] || ! ls -d "$cache"/kmods/built-* >/dev/null 2>&1; }; then
    download
fi
[ -d "$kernel" ] || unpack_kernel
state=$(cat "$sources"/*.c "$sources/Kbuild" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-12)
modules=$cache/kmods/built-$state
if [ ! -d "$modules" ]; then
    [ -d "$packages" ] || download
    build "$modules"
fi
echo "$kernel"
echo "$modules"
