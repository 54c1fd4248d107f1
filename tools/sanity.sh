#!/usr/bin/env bash
# ansible-test sanity, with no ignore file and no test left out, on a copy of the tree at the path that it asks for.
#
#   tools/sanity.sh [options of `ansible-test sanity`, for example: --test validate-modules plugins/modules/backup_info.py]
#
# Its virtual environments are kept in .cache/sanity/home (first run: 3 to 4 minutes on two cores, later ones about one);
# nothing is written to the user's home.

set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv=$PWD/.venv cache=$PWD/.cache/sanity
readonly root=$cache/ansible_collections/lifeboat/recovery
export HOME=$cache/home PATH="$venv/bin:$PATH" ANSIBLE_NOCOLOR=1
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH PYTHONDONTWRITEBYTECODE

rm -rf "$cache/ansible_collections"
mkdir -p "$HOME/.ansible/test/cache" "$(dirname "$root")"
tools/copy-tree.sh "$root"
ignore_files=$(find "$root/tests/sanity" -name 'ignore*' 2>/dev/null || true)
if [[ -n $ignore_files ]]; then
    echo "sanity: ignore files are not allowed: $ignore_files" >&2
    exit 1
fi
# ansible-test lists files with git; it must not see the environments that it makes itself.
git -C "$root" init --quiet
git -C "$root" add --all

# ansible-test downloads this file from a host of its own and runs it without the settings for certificates. Python brings
# a pip with it, which then installs the pip that ansible-test asks for from the package index that is configured here.
cat >"$HOME/.ansible/test/cache/get_pip_24_2.py" <<'PYTHON'
import ensurepip, os, subprocess, sys
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
ensurepip.bootstrap(default_pip=True)
bundle = "/etc/ssl/certs/ca-certificates.crt"
certificates = ["--cert", bundle] if os.path.exists(bundle) else []
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *certificates, *arguments]))
PYTHON

python=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# pslint is for PowerShell, of which there is none.
powershell=$(cd "$root" && git ls-files '*.ps1' '*.psm1')
if [[ -n $powershell ]]; then
    echo "sanity: PowerShell files need pslint: $powershell" >&2
    exit 1
fi

readonly log=$cache/sanity.log
status=0
(cd "$root" && ansible-test sanity --venv --python "$python" --color no --skip-test pslint "$@") 2>&1 </dev/null |
    tee "$log" | grep -vE '^(Collecting|Requirement already|Downloading|Installing|  )' || status=${PIPESTATUS[0]}
if ((status == 0)) && grep -E 'WARNING: (Skipping|Skipped|Unable|Required program)' "$log"; then
    echo "sanity: a test was left out (see above); install what it asks for" >&2
    status=1
fi
exit "$status"
