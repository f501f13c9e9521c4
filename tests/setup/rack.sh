#!/usr/bin/env bash
# A view of the machine with a rack of devices in it, for engines that are started inside: a /dev of its
# own with the nodes of FOLDER/root/dev, an /etc and a /var/lib that can be written without a trace, and
# the folders of links of that tree where dunnage names them. Says READY and stays while standard input is open.
# Usage: unshare --mount --propagation private rack.sh FOLDER   The others enter by nsenter(1).
set -euo pipefail
folder=$1

# Never the machine's devtmpfs, of which there is one for all.
dev=$folder/dev
mkdir -p "$dev"
mount -t tmpfs -o mode=755 tmpfs "$dev"
for node in null zero full random urandom tty console kmsg; do
    [ ! -e "/dev/$node" ] || cp -a "/dev/$node" "$dev/$node"
done
mkdir "$dev/pts" "$dev/shm" "$dev/mqueue"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
cp -a "$folder/root/dev/." "$dev/"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$dev/pts"
mount -t tmpfs tmpfs "$dev/shm"
mount --move "$dev" /dev

mkdir -p "$folder/over"
mount -t tmpfs tmpfs "$folder/over"
for place in etc var/lib; do
    upper=$folder/over/${place//\//-}
    mkdir -p "$upper/u" "$upper/w"
    mount -t overlay -o "lowerdir=/$place,upperdir=$upper/u,workdir=$upper/w" overlay "/$place"
done
mkdir -p /etc/cdi /var/lib/dunnage "$folder/root/var/lib/dunnage"
mount --bind "$folder/root/var/lib/dunnage" /var/lib/dunnage

echo READY
cat >/dev/null
