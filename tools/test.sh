#!/usr/bin/env bash
# Runs stages of tests, all of them even when one fails, and ends with a table of what happened and how long it took.
#
#   tools/test.sh fast | main | long | STAGE...        stages: the functions `stage_…` below; together `main` and `long` are all
#
# LIFEBOAT_PYTEST_WORKERS   processes for suites that run in parallel (default 2)
# LIFEBOAT_MONGO_TOOLS, LIFEBOAT_WALG   folders of genuine vendor tools, for the tests marked `interop`

set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly venv=$PWD/.venv
readonly workers=${LIFEBOAT_PYTEST_WORKERS:-2}
readonly waiting_workers=$((workers + 1)) # where tests wait for servers a third of the time
export PATH="$venv/bin:$PATH" ANSIBLE_NOCOLOR=1
# Compiled once, and not among the sources.
export PYTHONPYCACHEPREFIX=$PWD/.cache/pycache
unset PYTHONDONTWRITEBYTECODE
export ANSIBLE_HOME=$PWD/.cache/ansible
unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH

# The same examples every time: a search at random is for `soak`, so that a change is judged by what it changes.
examples=ci

# A stage returns 0, or not, or this when it can't run on this machine; what is missing is said loudly.
readonly SKIPPED=77

run() {
    printf '$ %s\n' "$*"
    "$@"
}

suite() { # environment, suite, pytest's options
    local environment=$1 name=$2
    shift 2
    run "$environment/bin/python" -m pytest "tests/$name" --hypothesis-profile "$examples" "$@"
}

# What talks to real servers shares two processors with them. A test of these that fails is tried once more, when all others
# are done, and the table says so: a second failure fails the stage, and more than a few failures do at once. It is tried
# with its whole file, because the tests of a file may follow one another on one host.
readonly most_second_tries=3
second_tries=0

serving_suite() { # as `suite`
    local environment=$1 name=$2 status=0 failed file
    local -a files
    suite "$@" || status=$?
    ((status == 1)) || return "$status"
    # A list of what failed, as pytest itself keeps it.
    failed=$(grep -c "\"tests/$name/.*: true" .cache/pytest/v/cache/lastfailed)
    ((failed > 0 && failed <= most_second_tries)) || return 1
    mapfile -t files < <(grep -oP "\"tests/\K$name/[^:\"]+(?=.*: true)" .cache/pytest/v/cache/lastfailed | sort -u)
    printf '\n--- %d failed: once more, alone with the rest of its file\n' "$failed"
    shift 2
    for file in "${files[@]}"; do
        suite "$environment" "$file" "$@" || return 1
    done
    second_tries=$((second_tries + failed))
}

# Some keep one processor busy for minutes. As a part of a run they go on beside the stages that leave it one, and their own
# stage waits for them.
declare -A beside=()
trap '((${#beside[@]} == 0)) || kill -- "${beside[@]/#/-}" 2>/dev/null' EXIT

begin_beside() { # name of a script
    mkdir -p .cache
    setsid "tools/$1.sh" >".cache/$1-beside.log" 2>&1 &
    beside[$1]=$!
}

script() { # its name
    if [[ -z ${beside[$1]:-} ]]; then
        "tools/$1.sh"
        return
    fi
    local status=0
    wait "${beside[$1]}" || status=$?
    unset "beside[$1]"
    cat ".cache/$1-beside.log"
    return "$status"
}

# --- stages -----------------------------------------------------------------------------------------------------

stage_lint() { script lint; }
stage_sanity() { script sanity; }
stage_architecture() { suite "$venv" architecture; }
stage_unit() { suite "$venv" unit --numprocesses "$workers"; }
stage_unit_quick() { LIFEBOAT_FUZZ_PERCENT=$fuzz_elsewhere suite "$venv" unit --numprocesses "$workers" -m "not thorough and not slow"; }
stage_conformance_quick() { suite "$venv" conformance --numprocesses "$workers" --dist loadfile -m "not slow"; }
stage_conformance() { suite "$venv" conformance --numprocesses "$workers" --dist loadfile; }
stage_integration_quick() { suite "$venv" integration --numprocesses "$waiting_workers" --dist loadfile -m "smoke"; }
# The files in their own order: what takes longest with the fewest tests begins.
readonly in_order=(--dist loadfile --no-loadscope-reorder)
stage_integration() { integration ""; }
stage_integration_main() { integration "and not long"; }
stage_integration_long() { integration "and long"; }
integration() { # which of them
    serving_suite "$venv" integration --numprocesses "$waiting_workers" "${in_order[@]}" -m "not interop and not soak $1"
}
stage_interop() { serving_suite "$venv" integration --numprocesses "$workers" --dist loadfile -m interop; }
stage_sandbox() { serving_suite "$venv" sandbox; }
stage_breakglass() { PYTHONPYCACHEPREFIX='' serving_suite "$venv" breakglass --numprocesses "$workers" --dist loadfile; }
stage_hosts() { hosts; }
stage_hosts_main() { hosts -m "not long"; }
stage_hosts_long() { hosts -m long; }
# A machine of its own compiles in its own place.
hosts() { PYTHONPYCACHEPREFIX='' serving_suite "$venv" hosts --numprocesses "$waiting_workers" "${in_order[@]}" "$@"; }
# Two regions, built once and lost again and again: run by hand, with what `hosts` needs and bind9.
stage_lab() { PYTHONPYCACHEPREFIX='' suite "$venv" lab -s; }
# What tools/kubernetes.sh has built is asked; without it all of these are skipped, and say so.
stage_kubernetes() { suite "$venv" kubernetes; }
stage_faults() { serving_suite "$venv" faults --numprocesses "$workers" --dist loadfile -m "not soak"; }
stage_soak() {
    local examples=default
    suite "$venv" integration -m soak || return 1
    # Every boundary of the ledger, where other runs take a sample.
    LIFEBOAT_EVERY_POINT=1 run "$venv/bin/python" -m pytest --timeout 7200 tests/integration/postgresql/test_pitr_kinds.py \
        tests/integration/mongodb/test_recovery.py -k "boundary or random_points or cut_transaction" || return 1
    for ((turn = 1; turn <= ${LIFEBOAT_SOAK_TURNS:-20}; turn++)); do
        suite "$venv" unit --numprocesses "$workers" || return 1
        suite "$venv" faults -m soak --timeout 120 || return 1
    done
}
stage_artefact() { tools/artefact-test.sh; }

# What walks through every call, or searches for bad inputs, is whole once, in the environment of the project: elsewhere it is
# about what differs in Python, and `fast` is about what the change broke most likely.
readonly fuzz_elsewhere=10
suite_elsewhere() { LIFEBOAT_FUZZ_PERCENT=$fuzz_elsewhere suite "$1" "$2" --numprocesses "$workers" -m "not thorough and not slow"; }

# All of it is `make newest`. As a part of a run it is about what differs in Ansible: the engine works below the modules all the
# same.
stage_newest() { newest unit "newest and not interop"; }
stage_newest_quick() { newest unit/playbooks newest_first; }
newest() { # which unit tests, which ones of integration
    tools/setup.sh newest
    local status=$?
    ((status == 3)) && return "$SKIPPED"
    ((status == 0)) || return 1
    suite_elsewhere "$PWD/.venv-newest" "$1" || return 1
    PATH="$PWD/.venv-newest/bin:$PATH" serving_suite "$PWD/.venv-newest" integration --numprocesses "$waiting_workers" "${in_order[@]}" \
        -m "$2"
}

stage_py39() { py39; }
# As a part of a run: one case of each.
stage_py39_quick() { LIFEBOAT_ONE_OF_EACH=1 py39; }
py39() {
    tools/setup.sh py39
    local status=$?
    ((status == 3)) && return "$SKIPPED"
    ((status == 0)) || return 1
    PATH="$PWD/.venv-3.9/bin:$PATH" suite_elsewhere "$PWD/.venv-3.9" unit
}

# --- the run ----------------------------------------------------------------------------------------------------

stages=()
for argument in "$@"; do
    case $argument in
    fast)
        begin_beside lint
        stages+=(architecture integration_quick conformance_quick unit_quick lint)
        ;;
    main)
        begin_beside sanity
        stages+=(lint architecture sandbox hosts_main sanity unit conformance integration_main interop breakglass faults artefact newest_quick py39_quick)
        ;;
    long) stages+=(hosts_long integration_long newest py39) ;;
    *) stages+=("$argument") ;;
    esac
done
if ((${#stages[@]} == 0)); then
    echo "usage: tools/test.sh fast | main | long | STAGE..." >&2
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
    second_tries=0
    "stage_$stage" || status=$?
    case $status in
    0)
        verdict=passed
        ((second_tries > 0)) && verdict="passed, $second_tries of its tests AT THE SECOND TRY: see above"
        ;;
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
