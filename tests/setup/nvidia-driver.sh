#!/usr/bin/env bash
# Unpacks the user space of one NVIDIA driver branch into a tree and prints the tree's path.
# Usage: nvidia-driver.sh 470|535|550
#
# The packages are Debian's (non-free), fetched with an apt configuration of their own, so that the
# machine's sources stay as they are, and unpacked, not installed. They are kept in the cache and are
# never part of the repository. What maintainer scripts would do is done here: the links that the
# alternatives system makes, and ld.so.cache, written by the machine's own ldconfig.
#
# Left out for their size: libnvoptix1 and libnvidia-rtcore, 240 MB a branch.
set -euo pipefail
# shellcheck source=tests/setup/debian-suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian-suite.sh"
branch=${1:?usage: nvidia-driver.sh 470|535|550}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/nvidia
tree=$cache/$branch
multiarch=usr/lib/x86_64-linux-gnu
[ -e "$tree/.complete" ] && { echo "$tree"; exit 0; }

common="nvidia-modprobe nvidia-persistenced nvidia-xconfig libnvidia-egl-wayland1 libnvidia-egl-gbm1"
plain="libcuda1 libcudadebugger1 libegl-nvidia0 libgles-nvidia1 libgles-nvidia2 libglx-nvidia0 libnvcuvid1
    libnvidia-allocator1 libnvidia-api1 libnvidia-cfg1 libnvidia-eglcore libnvidia-encode1 libnvidia-fbc1
    libnvidia-glcore libnvidia-glvkspirv libnvidia-ml1 libnvidia-ngx1 libnvidia-nvvm4 libnvidia-opticalflow1
    libnvidia-pkcs11-openssl3 libnvidia-ptxjitcompiler1 nvidia-alternative nvidia-cuda-mps nvidia-driver
    nvidia-driver-bin nvidia-egl-common nvidia-egl-icd nvidia-opencl-common nvidia-opencl-icd nvidia-smi
    nvidia-vdpau-driver nvidia-vulkan-common nvidia-vulkan-icd xserver-xorg-video-nvidia firmware-nvidia-gsp"
case $branch in
470) suite=bookworm
    packages="nvidia-egl-common nvidia-opencl-common nvidia-vulkan-common $(
        printf 'libegl-nvidia-tesla-470-0 xserver-xorg-video-nvidia-tesla-470 libgles-nvidia-tesla-470-1 libgles-nvidia-tesla-470-2 libglx-nvidia-tesla-470-0 '
        for name in alternative driver driver-bin egl-icd opencl-icd smi vdpau-driver vulkan-icd; do
            printf 'nvidia-tesla-470-%s ' "$name"
        done
        for name in allocator1 cbl cfg1 compiler cuda1 eglcore encode1 fbc1 glcore glvkspirv ifr1 ml1 ngx1 nvcuvid1 \
            nvvm4 opticalflow1 ptxjitcompiler1; do
            printf 'libnvidia-tesla-470-%s ' "$name"
        done
    )" ;;
535) suite=bookworm packages=$plain ;;
550) suite=trixie packages="$plain libnvidia-gpucomp" ;;
*) echo "nvidia-driver.sh: no branch $branch; there are 470, 535 and 550" >&2; exit 2 ;;
esac

part=$tree.part
rm -rf "$part"
echo "nvidia-driver.sh: downloading branch $branch from Debian $suite" >&2
# shellcheck disable=SC2086 # a list of words
download_packages "$suite" "$part/debs" $packages $common
for package in "$part"/debs/*.deb; do dpkg -x "$package" "$part"; done
rm -rf "$part/debs"
# A system of today has one /usr; packages before it have a /lib of their own.
if [ -d "$part/lib" ]; then cp -a "$part/lib/." "$part/usr/lib/" && rm -rf "${part:?}/lib"; fi
ln -s usr/lib "$part/lib"

# ---- what maintainer scripts would do --------------------------------------------------------------

# Debian links a soname in two steps, by the alternatives "glx" and "nvidia":
#   libcuda.so.1 -> glx--libcuda.so.1-TRIPLET -> nvidia/libcuda.so.1 -> nvidia--libcuda.so.1-TRIPLET
#   -> nvidia/current/libcuda.so.1 -> libcuda.so.535.261.03
# All but the last are absolute.
alternatives=$part/etc/alternatives
mkdir -p "$alternatives" "$part/etc/ld.so.conf.d" "$part/usr/bin"
own=current
[ -d "$part/$multiarch/nvidia/current" ] || own=tesla-$branch
for library in "$part/$multiarch/nvidia/$own"/lib*.so.[0-9]*; do
    # Only links are alternatives; libX.so.535.261.03 itself stays in its folder.
    [ -L "$library" ] || continue
    soname=$(basename "$library")
    [ -e "$part/$multiarch/$soname" ] && continue
    ln -s "/$multiarch/nvidia/$own/$soname" "$alternatives/nvidia--$soname-x86_64-linux-gnu"
    ln -s "/etc/alternatives/nvidia--$soname-x86_64-linux-gnu" "$part/$multiarch/nvidia/$soname"
    ln -s "/$multiarch/nvidia/$soname" "$alternatives/glx--$soname-x86_64-linux-gnu"
    ln -s "/etc/alternatives/glx--$soname-x86_64-linux-gnu" "$part/$multiarch/$soname"
done
for program in "$part/usr/lib/nvidia/$own"/nvidia-*; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
    name=$(basename "$program")
    [ -e "$part/usr/bin/$name" ] && continue
    ln -s "/usr/lib/nvidia/$own/$name" "$alternatives/nvidia--$name"
    ln -s "/etc/alternatives/nvidia--$name" "$part/usr/bin/$name"
done
echo "/$multiarch" >"$part/etc/ld.so.conf.d/x86_64-linux-gnu.conf"
echo "include /etc/ld.so.conf.d/*.conf" >"$part/etc/ld.so.conf"
/sbin/ldconfig -r "$part" >&2
touch "$part/.complete"
rm -rf "$tree"
mv "$part" "$tree"
echo "$tree"
