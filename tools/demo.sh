#!/usr/bin/env bash
# The demo: a sandbox on loopback with sample data, backed up, proved and restored by the playbooks, and what came of it.
#
#   tools/demo.sh up      start (or find running) the sandbox, back everything up, show the catalog and how to restore;
#                         the first time also `prove`: what has been shown once is not waited for again
#   tools/demo.sh prove   prove every backup of the sandbox at level 4, restore one of each kind beside production
#   tools/demo.sh down    stop the sandbox and remove all that it made

set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

readonly inventory=inventories/sandbox
readonly proved=.sandbox/proved # there when the backups of this sandbox were verified and restored once

begin() { part=$SECONDS; }
finish() { printf '\n%s took %d s\n' "$1" $((SECONDS - part)); }
heading() { printf '\n── %s\n' "$*"; }

start_sandbox() {
    heading "sandbox: PostgreSQL, MongoDB, Redis and S3 on loopback, with sample data"
    begin
    python -m sandbox up
    python tools/demo_restores.py clear
    finish "the sandbox"
}

back_up() {
    heading "backup: ansible-playbook playbooks/backup.yml -i $inventory"
    begin
    local status=0
    ansible-playbook playbooks/backup.yml -i "$inventory" || status=$?
    heading "what was backed up, where, how big, how long, and how to restore it"
    python tools/demo_summary.py || status=1
    finish "the backup"
    return "$status"
}

prove() {
    local identity status=0
    # The key of the backups is not in the inventory: who verifies and restores brings it.
    identity=$(python -c 'import json; print(json.load(open(".sandbox/sandbox.json"))["age"]["identity_file"])') || return
    heading "verify: ansible-playbook playbooks/verify.yml -i $inventory -e lifeboat_verify_level=4 -e lifeboat_identity_file=..."
    begin
    ansible-playbook playbooks/verify.yml -i "$inventory" -e lifeboat_verify_level=4 -e "lifeboat_identity_file=$identity" || status=$?
    finish "the verification"
    heading "restore: one of each kind beside production, by ansible-playbook playbooks/restore.yml -i $inventory -e lifeboat_restore=..."
    begin
    python tools/demo_restores.py restore || status=1
    finish "restoring all kinds"
    ((status != 0)) || touch "$proved"
    return "$status"
}

case ${1:-} in
up)
    start_sandbox
    back_up || exit
    if [[ -e $proved ]]; then
        printf '\nThis sandbox was proved and restored before. These backups too: make demo-prove\n'
    else
        prove || exit
    fi
    printf '\nThe demo took %d s. Again: make demo · stop and remove everything: make demo-down\n' "$SECONDS"
    ;;
prove)
    if [[ ! -e .sandbox/sandbox.json ]]; then
        echo "There is no sandbox whose backups could be proved. Start one: make demo" >&2
        exit 1
    fi
    start_sandbox
    prove
    ;;
down)
    python -m sandbox down
    ;;
*)
    echo "usage: tools/demo.sh up|prove|down" >&2
    exit 2
    ;;
esac
