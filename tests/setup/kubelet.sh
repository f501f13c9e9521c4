#!/usr/bin/env bash
# Builds a kubelet from the public Go module k8s.io/kubernetes, once, and prints the program's path.
# Nothing of it is linked or shipped. Usage: kubelet.sh VERSION   (1.36.3)
set -euo pipefail
version=$1
folder=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/kubelet
program=$folder/kubelet-$version
[ -x "$program" ] && { echo "$program"; exit 0; }
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
[ -x "$program" ] && { echo "$program"; exit 0; }
command -v go >/dev/null || { echo "kubelet.sh: building a kubelet needs Go (https://go.dev/dl)" >&2; exit 1; }
echo "kubelet.sh: building kubelet $version, which takes some minutes once" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=mod"
# The module replaces its libraries by folders of its own repository, which hold for nobody else: whoever
# requires it names the published ones (v0.36.3 goes with 1.36.3).
own=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
{
    echo "module kubelet"
    grep '^go ' "$own"
    echo "require k8s.io/kubernetes v$version"
    awk -v version="v0.${version#1.}" '$2 == "=>" && $3 ~ /^\.\/staging/ { print "replace", $1, "=>", $1, version }' "$own"
} >go.mod
names=k8s.io/component-base/version
minor=${version#1.}
nice -n 10 go build -o "$program.part" \
    -ldflags "-s -w -X $names.gitVersion=v$version -X $names.gitMajor=1 -X $names.gitMinor=${minor%%.*}" \
    k8s.io/kubernetes/cmd/kubelet >&2
mv "$program.part" "$program"
echo "$program"
