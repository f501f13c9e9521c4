#!/usr/bin/env bash
# Builds the referee for CDI (cdi-referee/main.go) with the library of the specification itself, once, and
# prints where it is.
set -euo pipefail
# shellcheck source=tests/setup/referee.sh
. "$(dirname "${BASH_SOURCE[0]}")/referee.sh"
library=v1.1.1
build_referee cdi-referee "tags.cncf.io/container-device-interface@$library" \
    "tags.cncf.io/container-device-interface/specs-go@$library"
