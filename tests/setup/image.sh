#!/usr/bin/env bash
# Packs one static program into an image archive that `docker load`, `podman load` and
# `ctr images import` take: no daemon, no registry. Usage: image.sh NAME:TAG PROGRAM OUT.tar [ARGUMENT...]
set -euo pipefail
name=$1 program=$2 out=$3
shift 3
inside=/bin/$(basename "$program")
entrypoint=$(printf ',"%s"' "$inside" "$@")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/root/{bin,proc,sys,dev,tmp} "$work/image"
install -m 755 "$program" "$work/root$inside"
chmod 1777 "$work/root/tmp"

pack() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$1" -cf "$2" .; }
sum() { sha256sum "$1" | cut -d' ' -f1; }

pack "$work/root" "$work/layer.tar"
layer=$(sum "$work/layer.tar")
mkdir "$work/image/$layer"
mv "$work/layer.tar" "$work/image/$layer/layer.tar"
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":[%s],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z"}]}' \
    "${entrypoint#,}" "$layer" >"$work/config.json"
config=$(sum "$work/config.json")
mv "$work/config.json" "$work/image/$config.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' "$config" "$name" "$layer" \
    >"$work/image/manifest.json"
(cd "$work/image" && tar -cf "$out" -- *)
