#!/usr/bin/env bash
# Makes the root file system of an image as small as it can be, with the C library of a distribution,
# and the program that loads the driver's libraries in it. Prints the folder.
# Usage: nvidia-roots.sh debian|ubuntu|distroless|redhat|alpine
# Exits 77 where something that only an Alpine needs cannot be had.
#
#   debian      Debian 12: glibc 2.36, ld.so.cache by ldconfig, a shell
#   ubuntu      Debian 13's glibc 2.41, one /usr, as Ubuntu has it; Ubuntu's own packages are not used
#   distroless  glibc 2.36 alone: no shell, no ldconfig, no ld.so.cache
#   redhat      glibc 2.36 built for /lib64 and /usr/lib64 alone (Debian's libc6-amd64 for i386)
#   alpine      musl and gcompat laid out as Alpine does: musl of Debian 12, gcompat built from source,
#               which lies in the cache or comes from upstream by git; Alpine's own packages are not used
set -euo pipefail
kind=${1:?usage: nvidia-roots.sh debian|ubuntu|distroless|redhat|alpine}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/setup/debian-suite.sh
. "$here/debian-suite.sh"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/nvidia
root=$cache/root-$kind
[ -e "$root/.complete" ] && { echo "$root"; exit 0; }
part=$root.part
rm -rf "$part"
mkdir -p "$part"

# unpack SUITE[/ARCHITECTURE] FOLDER PACKAGE...
unpack() {
    local suite=$1 folder=$2 debs=$cache/root-debs package
    shift 2
    rm -rf "$debs"
    download_packages "$suite" "$debs" "$@"
    for package in "$debs"/*.deb; do dpkg -x "$package" "$folder"; done
    rm -rf "$debs"
}

# One /usr: what packages still put beside it goes in.
merge_usr() {
    local name
    for name in bin sbin lib lib64; do
        if [ -d "$part/$name" ] && [ ! -L "$part/$name" ]; then
            mkdir -p "$part/usr/$name"
            cp -a "$part/$name/." "$part/usr/$name/"
            rm -rf "${part:?}/$name"
        fi
        [ -e "$part/$name" ] || { mkdir -p "$part/usr/$name" && ln -s "usr/$name" "$part/$name"; }
    done
}

# libc finds its folders by ld.so.cache, as packages leave it behind.
cached() {
    mkdir -p "$part/etc/ld.so.conf.d"
    [ -e "$part/etc/ld.so.conf" ] || echo 'include /etc/ld.so.conf.d/*.conf' >"$part/etc/ld.so.conf"
    [ -n "$(ls "$part/etc/ld.so.conf.d")" ] ||
        printf '%s\n' /usr/local/lib/x86_64-linux-gnu /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu \
            >"$part/etc/ld.so.conf.d/x86_64-linux-gnu.conf"
    /sbin/ldconfig -r "$part"
}

musl_and_gcompat() {
    local source=$cache/gcompat musl=$cache/musl specs=$cache/musl/specs
    if [ ! -d "$source" ]; then
        git clone -q --depth 1 https://git.adelielinux.org/adelie/gcompat.git "$source.part" >&2 || {
            echo "nvidia-roots.sh: no source of gcompat: upstream does not answer, and $source is not there" >&2
            exit 77
        }
        mv "$source.part" "$source"
    fi
    rm -rf "$musl"
    unpack bookworm "$musl" musl musl-dev
    ln -sf ../../../lib/x86_64-linux-musl/libc.so "$musl/usr/lib/x86_64-linux-musl/libc.so"
    sed "s#/usr/#$musl/usr/#g" "$musl/usr/lib/x86_64-linux-musl/musl-gcc.specs" >"$specs"
    mkdir -p "$part"/{lib,lib64,usr/lib,usr/local/lib,bin}
    cp "$musl/lib/x86_64-linux-musl/libc.so" "$part/lib/ld-musl-x86_64.so.1"
    ln -s ld-musl-x86_64.so.1 "$part/lib/libc.musl-x86_64.so.1"
    make -s -C "$source" clean
    make -s -C "$source" CC="gcc -specs $specs" CFLAGS="-O2 -w" LINKER_PATH=/lib/ld-musl-x86_64.so.1 \
        LOADER_NAME=ld-linux-x86-64.so.2 WITH_OBSTACK=no libgcompat.so.0 loader/loader.o >&2
    cp "$source/libgcompat.so.0" "$part/lib/"
    # The specs know no static-pie: what it is made of is named.
    gcc -specs "$specs" -nostartfiles -static -Wl,-pie,--no-dynamic-linker,-z,text -o "$part/lib/ld-linux-x86-64.so.2" \
        "$musl/usr/lib/x86_64-linux-musl/rcrt1.o" "$musl/usr/lib/x86_64-linux-musl/crti.o" \
        "$source/loader/loader.o" "$musl/usr/lib/x86_64-linux-musl/crtn.o"
    ln -s /lib/ld-linux-x86-64.so.2 "$part/lib64/ld-linux-x86-64.so.2"
    gcc -specs "$specs" -o "$part/bin/load-driver-musl" "$here/nvidia-load.c"
}

case $kind in
debian) unpack bookworm "$part" libc6 libc-bin libgcc-s1 libstdc++6 base-files dash && merge_usr && cached ;;
ubuntu) unpack trixie "$part" libc6 libc-bin libgcc-s1 libstdc++6 base-files dash && merge_usr && cached ;;
distroless) unpack bookworm "$part" libc6 ;;
redhat) unpack bookworm/i386 "$part" libc6-amd64:i386 && merge_usr ;;
alpine) musl_and_gcompat ;;
*) echo "nvidia-roots.sh: no root of kind $kind" >&2; exit 2 ;;
esac
mkdir -p "$part"/{bin,proc,sys,dev,tmp,etc}
[ -e "$part/etc/passwd" ] || echo 'root:x:0:0:root:/:/bin/sh' >"$part/etc/passwd"
gcc -o "$part/bin/load-driver" "$here/nvidia-load.c" -ldl
touch "$part/.complete"
rm -rf "$root"
mv "$part" "$root"
echo "$root"
