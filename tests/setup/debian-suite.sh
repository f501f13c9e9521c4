# shellcheck shell=bash
# Sourced: packages of Debian suites that the machine itself does not use. They are downloaded by an apt
# with a configuration of its own, so that the machine's sources and lists stay as they are, and are
# unpacked by whoever asked, never installed.

# use_suite SUITE [ARCHITECTURE]: lets apt-get and apt-cache see that suite alone, with contrib and
# non-free, as long as APT_CONFIG is set. Its lists are fetched once a day.
use_suite() {
    local suite=$1 architecture=${2:-} state mirror
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$keyring" ] || { echo "debian-suite.sh: no $keyring: install debian-archive-keyring" >&2; return 1; }
    state=${XDG_CACHE_HOME:-$HOME/.cache}/dunnage/apt/$suite${architecture:+-$architecture}
    mkdir -p "$state"/{lists/partial,cache/archives/partial,parts}
    # The mirror that the machine itself uses, which on a Debian is Debian's. Of the two files most have one.
    mirror=${DEBIAN_MIRROR:-$({ cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true; } |
        awk '/security/ {next} /^URIs:/ {print $2; exit} /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; exit}}')}
    [ -n "$mirror" ] || { echo "debian-suite.sh: no Debian mirror known: name one in DEBIAN_MIRROR" >&2; return 1; }
    echo "deb [signed-by=$keyring] $mirror $suite main contrib non-free non-free-firmware" \
        >"$state/sources.list"
    cat >"$state/apt.conf" <<END
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "$state/parts";
Dir::Etc::PreferencesParts "$state/parts";
Dir::State::Lists "$state/lists";
Dir::State::Status "/dev/null";
Dir::Cache "$state/cache";
APT::Sandbox::User "root";
${architecture:+APT::Architectures { \"amd64\"; \"$architecture\"; \};}
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
END
    export APT_CONFIG=$state/apt.conf
    (
        flock 8
        if [ -z "$(find "$state/updated" -mtime -1 2>/dev/null)" ]; then
            apt-get -qq update >&2
            touch "$state/updated"
        fi
    ) 8>"$state/lock"
}

# download_packages SUITE[/ARCHITECTURE] FOLDER PACKAGE...: their files, into FOLDER.
download_packages() {
    local suite=$1 folder=$2
    shift 2
    mkdir -p "$folder"
    (
        use_suite "${suite%/*}" "$([ "${suite%/*}" = "$suite" ] || echo "${suite#*/}")"
        cd "$folder" || exit
        apt-get -qq download "$@" >&2
    )
}
