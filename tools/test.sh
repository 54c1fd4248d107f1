#!/usr/bin/env bash
# Runs stages of tests, all of them even when one fails, and ends with a table of what happened and how long it took.
#
#   tools/test.sh fast | all | STAGE...        stages: the functions `stage_…` below
#
# LIFEBOAT_PYTEST_WORKERS   processes for suites that run in parallel (default 2)
# LIFEBOAT_MONGO_TOOLS, LIFEBOAT_WALG   folders of genuine vendor tools, for the tests marked `interop`

set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly venv=$PWD/.venv
readonly workers=${LIFEBOAT_PYTEST_WORKERS:-2}
export PATH="$venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 ANSIBLE_NOCOLOR=1
export ANSIBLE_HOME=$PWD/.cache/ansible
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH

# A stage returns 0, or not, or this when it can't run on this machine; what is missing is said loudly.
readonly SKIPPED=77

run() {
    printf '$ %s\n' "$*"
    "$@"
}

suite() { # environment, suite, pytest's options
    local environment=$1 name=$2
    shift 2
    run "$environment/bin/python" -m pytest "tests/$name" "$@"
}

# --- stages -----------------------------------------------------------------------------------------------------

stage_lint() { tools/lint.sh; }
stage_architecture() { suite "$venv" architecture; }
stage_unit() { suite "$venv" unit --numprocesses "$workers"; }
stage_conformance() { suite "$venv" conformance --numprocesses "$workers" --dist loadfile; }
stage_integration_quick() { suite "$venv" integration --numprocesses "$workers" --dist loadfile -m "not slow and not interop and not soak"; }
stage_integration() { suite "$venv" integration --numprocesses "$workers" --dist loadfile -m "not interop and not soak"; }
stage_interop() { suite "$venv" integration -m interop; }
stage_sandbox() { suite "$venv" sandbox; }
stage_breakglass() { suite "$venv" breakglass; }
stage_faults() { suite "$venv" faults --numprocesses "$workers" --dist loadfile -m "not soak"; }
stage_soak() {
    suite "$venv" integration -m soak || return 1
    for ((turn = 1; turn <= ${LIFEBOAT_SOAK_TURNS:-20}; turn++)); do suite "$venv" faults -m soak --timeout 120 || return 1; done
}
stage_sanity() { tools/sanity.sh; }
stage_artefact() { tools/artefact-test.sh; }

stage_newest() {
    tools/setup.sh newest
    local status=$?
    ((status == 3)) && return "$SKIPPED"
    ((status == 0)) || return 1
    suite "$PWD/.venv-newest" unit --numprocesses "$workers" || return 1
    PATH="$PWD/.venv-newest/bin:$PATH" suite "$PWD/.venv-newest" integration --numprocesses "$workers" --dist loadfile \
        -m "newest and not interop"
}

stage_py39() {
    tools/setup.sh py39
    local status=$?
    ((status == 3)) && return "$SKIPPED"
    ((status == 0)) || return 1
    PATH="$PWD/.venv-3.9/bin:$PATH" suite "$PWD/.venv-3.9" unit --numprocesses "$workers" \
        --ignore=tests/unit/modules --ignore=tests/unit/plugins
}

# --- the run ----------------------------------------------------------------------------------------------------

stages=()
for argument in "$@"; do
    case $argument in
    fast)
        export LIFEBOAT_FUZZ_PERCENT=10 # of the inputs that searches for bad ones try
        stages+=(lint sanity architecture unit conformance integration_quick)
        ;;
    all) stages+=(lint sanity architecture unit conformance sandbox integration interop breakglass faults artefact newest py39) ;;
    *) stages+=("$argument") ;;
    esac
done
if ((${#stages[@]} == 0)); then
    echo "usage: tools/test.sh fast | all | STAGE..." >&2
    exit 2
fi
for stage in "${stages[@]}"; do
    if ! declare -F "stage_$stage" >/dev/null; then
        echo "no stage is called '$stage'; there are: $(declare -F | sed -n 's/^declare -f stage_//p' | tr '\n' ' ')" >&2
        exit 2
    fi
done

table=()
failed=0
for stage in "${stages[@]}"; do
    printf '\n=== %s\n' "$stage"
    started=$SECONDS
    status=0
    "stage_$stage" || status=$?
    case $status in
    0) verdict=passed ;;
    "$SKIPPED") verdict="SKIPPED: see above" ;;
    *)
        verdict="FAILED ($status)"
        failed=$((failed + 1))
        ;;
    esac
    table+=("$(printf '%-20s %4d s  %s' "$stage" $((SECONDS - started)) "$verdict")")
done

printf '\n=== stages\n'
printf '%s\n' "${table[@]}" "$(printf '%-20s %4d s' together "$SECONDS")"
if ((failed > 0)); then
    printf '%d of %d stages failed\n' "$failed" "${#stages[@]}"
    exit 1
fi
