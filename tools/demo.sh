#!/usr/bin/env bash
# The demo: a sandbox on loopback with sample data, one run of the main playbook, and what came of it.
#
#   tools/demo.sh up      start (or find running) the sandbox, back everything up, show the catalog and how to restore
#   tools/demo.sh down    stop the sandbox and remove all that it made

set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

readonly inventory=inventories/sandbox

heading() { printf '\n── %s\n' "$*"; }

case ${1:-} in
up)
    started=$SECONDS
    heading "sandbox: PostgreSQL, MongoDB, Redis and S3 on loopback, with sample data"
    python -m sandbox up
    heading "backup: ansible-playbook playbooks/backup.yml -i $inventory"
    status=0
    ansible-playbook playbooks/backup.yml -i "$inventory" || status=$?
    heading "what was backed up, where, how big, how long, and how to restore it"
    python tools/demo_summary.py || status=1
    printf '\nThe demo took %d s. Again: make demo · stop and remove everything: make demo-down\n' $((SECONDS - started))
    exit "$status"
    ;;
down)
    python -m sandbox down
    ;;
*)
    echo "usage: tools/demo.sh up|down" >&2
    exit 2
    ;;
esac
