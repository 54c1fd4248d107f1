#!/usr/bin/env bash
# Every check that only reads the files. All run; the first line of each that fails says which.
# shellcheck disable=SC2317  # functions are called by their names, through `check`

set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PATH="$PWD/.venv/bin:$PATH"

failed=0

check() { # name, command
    local name=$1 started=$SECONDS output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    if ((status == 0)); then
        printf 'lint: %-28s ok (%d s)\n' "$name" $((SECONDS - started))
    else
        printf 'lint: %-28s FAILED (%d s): %s\n%s\n' "$name" $((SECONDS - started)) "$*" "$output"
        failed=1
    fi
}

# Files of the project by kind: what git knows or would take, without links.
files() { # extended regular expression over paths
    git ls-files --cached --others --exclude-standard | grep -E "$1" | while IFS= read -r path; do
        [[ -f $path && ! -L $path ]] && printf '%s\n' "$path"
    done
    return 0
}

shell_scripts() {
    files '\.sh$'
    files '^[^.]+$|^\.ci/' | while IFS= read -r path; do
        head -c 64 "$path" | head -n 1 | grep -qE '^#!.*\b(ba|da)?sh\b' && printf '%s\n' "$path"
    done
    return 0
}

types() {
    local folder folders=()
    mypy -p lifeboat || return 1
    for folder in sandbox tools tests/architecture; do
        [[ -n $(files "^$folder/.*\.py\$") ]] && folders+=("$folder")
    done
    mypy --exclude tools/typing "${folders[@]}"
}

old_python() { # no newer syntax or library than 3.9 has, in all that runs on targets
    vermin --no-tips --quiet --violations --target=3.9- --no-parse-comments plugins
}

check "ruff check" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check "mypy --strict" types
check "vermin (Python 3.9)" old_python
check yamllint yamllint --strict .
mapfile -t scripts < <(shell_scripts | sort -u)
check "shellcheck (${#scripts[@]} scripts)" shellcheck --severity=style "${scripts[@]}"
check "ansible-lint (production)" env ANSIBLE_HOME="$PWD/.cache/ansible-lint" ansible-lint --offline --profile production -q
check "changelog fragments" antsibull-changelog lint

exit "$failed"
