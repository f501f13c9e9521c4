#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the virtual machine: reaches the real root and hands over. vm.sh puts the
# path of guest-init.sh in.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in $($B cat /modules/order); do $B insmod "/modules/$module" 2>/dev/null; done
$B mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /lower
$B mount -t tmpfs -o size=70% tmpfs /upper
$B mkdir /upper/u /upper/w
$B mount -t overlay -o lowerdir=/lower,upperdir=/upper/u,workdir=/upper/w overlay /newroot
for folder in proc sys dev; do $B mount --move /$folder /newroot/$folder; done
exec $B switch_root /newroot /bin/bash @GUEST@
