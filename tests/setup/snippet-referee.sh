#!/usr/bin/env bash
# Builds the referee for snippets (snippet-referee/main.go) with the libraries of Compose and of Nomad's
# language, once, and prints where it is.
#
# Nomad's own job parser is a module of the whole of Nomad and needs a fork of this language's library.
set -euo pipefail
# shellcheck source=tests/setup/referee.sh
. "$(dirname "${BASH_SOURCE[0]}")/referee.sh"
build_referee snippet-referee github.com/compose-spec/compose-go/v2/loader@v2.16.2 \
    github.com/hashicorp/hcl/v2/gohcl@v2.25.0
