#!/usr/bin/env bash
# Builds nvidia-ctk from NVIDIA's public Go module, once, and prints the program's path. It is the
# referee of the test that compares driver files; nothing of it is linked or shipped.
set -euo pipefail
version=v1.20.1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/nvidia-ctk-$version
program=$folder/nvidia-ctk
[ -x "$program" ] && { echo "$program"; exit 0; }
command -v go >/dev/null || { echo "nvidia-ctk.sh: building nvidia-ctk needs Go 1.26 (https://go.dev/dl)" >&2; exit 1; }
echo "nvidia-ctk.sh: building nvidia-ctk $version" >&2
mkdir -p "$folder"
cd "$folder"
printf 'module referee\n\ngo 1.26.0\n' >go.mod
go get "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk@$version" >&2
go build -o "$program.part" github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk
mv "$program.part" "$program"
echo "$program"
