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
    # Debian's own machines name a mirror that is near them.
    mirror=$(awk '/^URIs:/ && !/security/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} $suite main contrib non-free non-free-firmware" \
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
