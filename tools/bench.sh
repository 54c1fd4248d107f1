#!/usr/bin/env bash
# Measures against the tools' own pipes and the peers: sets up what that needs, then runs `python -m tests.bench`.
#
#   tools/bench.sh [options of tests.bench, see --help]
#   tools/bench.sh --write docs/performance.md     a run of record: its figures go into the page
#
# LIFEBOAT_MONGO_TOOLS   folder of the vendor's mongodump, where it isn't on PATH; without it two figures can't be measured

set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh main
tools/setup.sh bench

# Compiled files of our own are kept, as they are on a host where the engine is installed.
unset PYTHONDONTWRITEBYTECODE
exec .venv/bin/python -m tests.bench "$@"
