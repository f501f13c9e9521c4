#!/usr/bin/env bash
# Boots the distribution's own kernel in QEMU (software emulation) with nothing but cgroup v2, and
# runs a command in it as root. Usage: vm.sh FOLDER SECONDS COMMAND
#
# The guest's root is this machine's, read-only over 9p with a temporary layer on top, so whatever
# is installed and built here is there too. FOLDER is /out in the guest; /scratch is an empty ext4
# disk. The command's exit status is in FOLDER/status, the console's text in FOLDER/console.
# Exits 0 when the guest ran the command, whatever its status; 1 when it could not.
#
# In the environment: DUNNAGE_VM_KERNEL is the folder of another kernel, unpacked; DUNNAGE_VM_PACKAGE
# the package that depends on another kernel of the distribution's; DUNNAGE_VM_QEMU has further
# arguments for QEMU, DUNNAGE_VM_APPEND for the kernel's command line, DUNNAGE_VM_CPUS the number of CPUs,
# 2 unless it says otherwise. Where code of the kernel is patched while another CPU runs it (a program is
# attached to an event that comes all the time), QEMU's emulation may leave that CPU at the old code for
# ever ("soft lockup", at a place of patched code): such a load wants one CPU.
set -euo pipefail
out=$1 seconds=$2 command=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/vm
mkdir -p "$cache" "$out"

# ---- the kernel: downloaded as a package and unpacked, not installed -----------------------------

if grep -q '^ID=ubuntu' /etc/os-release; then meta=linux-image-virtual; else meta=linux-image-amd64; fi
meta=${DUNNAGE_VM_PACKAGE:-$meta}

fetch_kernel() {
    local into=$1 image modules
    image=$(apt-cache depends "$meta" | awk '/Depends: linux-image-[0-9]/ {print $2; exit}')
    [ -n "$image" ] || { echo "vm.sh: apt knows no kernel behind $meta: run apt-get update" >&2; return 1; }
    echo "vm.sh: downloading $image" >&2
    rm -rf "$into.part"
    mkdir -p "$into.part"
    (
        cd "$into.part"
        apt-get -qq -o APT::Sandbox::User=root download "$image"
        # Ubuntu has the modules in a package of their own.
        modules=${image/linux-image-/linux-modules-}
        if apt-cache show "$modules" >/dev/null 2>&1; then
            apt-get -qq -o APT::Sandbox::User=root download "$modules"
        fi
        for package in *.deb; do dpkg -x "$package" .; done
        rm -f -- *.deb
    )
    local base=$into.part
    [ -d "$base/usr/lib/modules" ] && base=$base/usr
    depmod -b "$base" "$(ls "$base/lib/modules")"
    mv "$into.part" "$into"
}

kernel=${DUNNAGE_VM_KERNEL:-$cache/$meta}
[ -d "$kernel" ] || fetch_kernel "$kernel"
read -r -a devices <<<"${DUNNAGE_VM_QEMU:-}"
modules=$kernel
[ -d "$kernel/usr/lib/modules" ] && modules=$kernel/usr
version=$(ls "$modules/lib/modules")

# ---- the first file system: a shell and the modules that reach the real root ----------------------

work=$(mktemp -d)
qemu=
clean() {
    [ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT
root=$work/initrd
mkdir -p "$root"/{bin,proc,sys,dev,lower,upper,newroot,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
for module in virtio_pci virtio_blk virtio_rng ext4 overlay 9p 9pnet_virtio veth bridge loop; do
    modprobe -d "$modules" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}' || true
done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    case $file in
    *.xz) name=${name%.xz} && xz -dc "$file" >"$root/modules/$name" ;;
    *.zst) name=${name%.zst} && zstd -qdc "$file" >"$root/modules/$name" ;;
    *) cp "$file" "$root/modules/$name" ;;
    esac
    echo "$name" >>"$root/modules/order"
done
sed "s|@GUEST@|$here/guest-init.sh|" "$here/guest-initrd.sh" >"$root/init"
chmod 755 "$root/init"
(cd "$root" && find . -print0 | cpio --null --create --format=newc --quiet) >"$work/initrd.cpio"

# ---- run ------------------------------------------------------------------------------------------

printf '%s\n' "$command" >"$out/command"
rm -f "$out/status"
# Without the frequency that the host measured, the guest's clock runs wild under emulation.
khz=$(awk '/cpu MHz/ {printf "%d", $4 * 1000; exit}' /proc/cpuinfo)

boot() {
    rm -f "$work/scratch.img"
    truncate -s 4G "$work/scratch.img"
    mkfs.ext4 -q -F -E lazy_itable_init=1 "$work/scratch.img"
    timeout "$seconds" qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -cpu max -smp "${DUNNAGE_VM_CPUS:-2}" -m 3072 \
        -nographic -no-reboot -nodefaults -serial stdio -device virtio-rng-pci \
        -drive "file=$work/scratch.img,if=virtio,format=raw,cache=unsafe" \
        -virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
        -virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap" \
        -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initrd.cpio" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off apparmor=0 tsc=reliable tsc_early_khz=$khz psi=1 cgroup_no_v1=all ${DUNNAGE_VM_APPEND:-}" \
        "${devices[@]}" </dev/null >"$out/console" 2>&1 &
    qemu=$!
    for _ in {1..120}; do
        grep -q GUEST-READY "$out/console" && return 0
        kill -0 "$qemu" 2>/dev/null || return 1
        sleep 0.5
    done
    kill -KILL "$qemu"
    return 1
}

boot || { echo "vm.sh: not ready after 60 s, starting once more" >&2 && boot; } || {
    echo "vm.sh: the guest does not come up; its console ends with:" >&2
    tail -n 30 "$out/console" >&2
    exit 1
}
wait "$qemu" || true
qemu=
[ -s "$out/status" ] || {
    echo "vm.sh: the guest ended without a status (limit $seconds s); its console ends with:" >&2
    tail -n 30 "$out/console" >&2
    exit 1
}
