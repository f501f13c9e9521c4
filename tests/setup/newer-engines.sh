#!/usr/bin/env bash
# Engines newer than the distribution's, unpacked and not installed: Debian's own packages of another
# suite. Usage: newer-engines.sh SUITE PACKAGE...   Prints the folder; the programs are in usr/bin and
# usr/sbin of it. They are downloaded once, into ~/.cache/dunnage, by an apt configuration of its own,
# so that the machine's package lists stay as they are.
set -euo pipefail
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
    private=$(mktemp -d)
    trap 'rm -rf "$private"' EXIT
    mkdir -p "$private"/{lists/partial,archives/partial,parts} "$into"
    mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    mirror=${mirror:-http://deb.debian.org/debian}
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$keys" ] || { echo "newer-engines.sh: no $keys: install debian-archive-keyring" >&2; exit 1; }
    echo "deb [signed-by=$keys] $mirror $suite main" >"$private/sources.list"
    # Only the section with the packages is asked for: no translations, no contents.
    apt=(-qq -o "Dir::Etc::SourceList=$private/sources.list" -o "Dir::Etc::SourceParts=$private/parts"
        -o "Dir::State::Lists=$private/lists" -o "Dir::Cache=$private" -o Acquire::Languages=none
        -o APT::Sandbox::User=root)
    echo "newer-engines.sh: downloading of $suite: ${missing[*]}" >&2
    apt-get "${apt[@]}" update >&2
    (cd "$private" && apt-get "${apt[@]}" download "${missing[@]}" >&2)
    for package in "${missing[@]}"; do
        dpkg -x "$private/${package}"_*.deb "$into"
        touch "$into/.$package"
    done
fi
echo "$into"
