#!/usr/bin/env bash
# Engines newer than the distribution's, unpacked and not installed: Debian's own packages of another
# suite. Usage: newer-engines.sh SUITE PACKAGE...   Prints the folder; the programs are in usr/bin and
# usr/sbin of it. They are downloaded once, into ~/.cache/dunnage.
set -euo pipefail
# shellcheck source=tests/setup/debian-suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian-suite.sh"
suite=$1
shift
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/engines
into=$cache/$suite
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

missing=()
for package in "$@"; do
    [ -e "$into/.$package" ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    debs=$(mktemp -d)
    trap 'rm -rf "$debs"' EXIT
    echo "newer-engines.sh: downloading of $suite: ${missing[*]}" >&2
    download_packages "$suite" "$debs" "${missing[@]}"
    mkdir -p "$into"
    for package in "${missing[@]}"; do
        dpkg -x "$debs/${package}"_*.deb "$into"
        touch "$into/.$package"
    done
fi
echo "$into"
