#!/usr/bin/env bash
# Builds the collection, installs it alone into a temporary folder, removes every folder but meta, plugins, roles and
# playbooks there, and uses it: what a user gets works without the checkout.
#
# Tests below tests/artefact, where there are some, run against it: LIFEBOAT_ARTEFACT_COLLECTIONS is its collections path.

set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv=$PWD/.venv checkout=$PWD
export PATH="$venv/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly installed=$work/collections/ansible_collections/lifeboat/recovery

fail() {
    echo "artefact: $*" >&2
    exit 1
}

tools/copy-tree.sh "$work/tree"
(cd "$work/tree" && ansible-galaxy collection build --output-path "$work" >/dev/null)
artefact=$(echo "$work"/lifeboat-recovery-*.tar.gz)
size=$(stat --format=%s "$artefact")
echo "artefact: $(basename "$artefact"), $((size / 1024)) KiB, $(tar -tzf "$artefact" | grep -vc '/$') files"
((size < 20 * 1024 * 1024)) || fail "Galaxy takes 20 MiB at most"

# What users don't need stays out; a new folder has to be named here or in galaxy.yml's build_ignore.
unexpected=$(tar -tzf "$artefact" | cut -d / -f 1 | sort -u | grep -vxE \
    'meta|plugins|roles|playbooks|extensions|docs|changelogs|[A-Z_]+(\.md)?|FILES\.json|MANIFEST\.json' || true)
[[ -z $unexpected ]] || fail "holds what users don't need: ${unexpected//$'\n'/ }"

# From here on the checkout is out of reach: another folder, another home, one collections path.
cd "$work"
export HOME=$work/home ANSIBLE_COLLECTIONS_PATH=$work/collections ANSIBLE_NOCOLOR=1 PAGER=cat
export ANSIBLE_CONFIG=$work/none.cfg ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
mkdir "$HOME"
: >"$ANSIBLE_CONFIG"
ansible-galaxy collection install --offline --no-deps --collections-path "$work/collections" "$artefact" >/dev/null
for folder in "$installed"/*/; do
    case $(basename "$folder") in
    meta | plugins | roles | playbooks) ;;
    *) rm -rf "$folder" ;;
    esac
done

modules_of() { find "$1/plugins/modules" -name '*.py' ! -name '__init__.py' -printf '%f\n' 2>/dev/null | sed 's/\.py$//' | sort; }
expected=$(modules_of "$checkout")
[[ -n $expected ]] || fail "there are no modules"
listed=$(ansible-doc --list --json lifeboat.recovery | python -c 'import json, sys; print("\n".join(sorted(n.rpartition(".")[2] for n in json.load(sys.stdin))))')
[[ $listed == "$expected" ]] || fail "ansible-doc lists [$listed] and not [$expected]"
for module in $expected; do
    ansible-doc --json "lifeboat.recovery.$module" >/dev/null || fail "ansible-doc can't show $module"
done
echo "artefact: ansible-doc shows ${expected//$'\n'/, }"

shopt -s nullglob
for playbook in "$installed"/playbooks/*.yml; do
    name=$(basename "$playbook" .yml)
    ansible-playbook --syntax-check --inventory localhost, "lifeboat.recovery.$name" >"$work/syntax.log" 2>&1 ||
        { cat "$work/syntax.log"; fail "the syntax check of lifeboat.recovery.$name fails"; }
    if grep -q 'WARNING' "$work/syntax.log"; then cat "$work/syntax.log"; fail "the syntax check of $name warns"; fi
    echo "artefact: lifeboat.recovery.$name resolves"
done

# The same engine as a plain package, as hosts run it from cron.
ln -s "$installed/plugins/module_utils/_engine" "$work/lifeboat"
python -I -c 'import sys; sys.path.insert(0, sys.argv[1]); import lifeboat.cli as c; assert c.__file__.startswith(sys.argv[1]), c.__file__' "$work" ||
    fail "the engine doesn't import as the package lifeboat"

if [[ -d $checkout/tests/artefact ]]; then
    cd "$checkout"
    unset ANSIBLE_CONFIG
    LIFEBOAT_ARTEFACT_COLLECTIONS=$work/collections python -m pytest tests/artefact
fi
echo "artefact: works alone"
