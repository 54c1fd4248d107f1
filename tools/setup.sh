#!/usr/bin/env bash
# Sets up what everything else needs, and nothing twice.
#
#   tools/setup.sh main     Debian packages, .venv with requirements-dev.txt and the engine as the package `lifeboat`
#   tools/setup.sh newest   .venv-newest: the newest ansible-core on the newest Python of this machine (exit 3: none newer)
#   tools/setup.sh py39     .venv-3.9: the oldest Python that targets may have (exit 3: there is none)
#   tools/setup.sh bench    Debian packages of the peers that benchmarks compare with
#
# LIFEBOAT_PYTHON names the interpreter for .venv when the one that would be chosen doesn't suit.

set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages_file=tools/debian-packages.txt
readonly logs=.cache/setup
mkdir -p "$logs"

say() { printf '%s\n' "$*" >&2; }

# Runs a command with its output in a log; shows that it is alive; shows the log's end only when it fails.
step() {
    local name=$1 log="$logs/$2.log" started=$SECONDS waited=0
    shift 2
    printf 'setup: %s ' "$name" >&2
    "$@" >"$log" 2>&1 </dev/null &
    local job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.2
        waited=$((waited + 1))
        if ((waited % 15 == 0)); then printf '.' >&2; fi
    done
    local status=0
    wait "$job" || status=$?
    if ((status != 0)); then
        say "FAILED ($((SECONDS - started)) s); the end of $log:"
        tail -n 25 "$log" >&2
        return "$status"
    fi
    say "done ($((SECONDS - started)) s)"
}

# --- Debian packages --------------------------------------------------------------------------------------------

wanted_packages() { # $1: main | bench
    local line
    while IFS= read -r line; do
        [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
        if [[ $line == *"# bench:"* ]]; then
            [[ $1 == bench ]] && printf '%s\n' "${line%%[[:space:]]*}"
        else
            [[ $1 == main ]] && printf '%s\n' "${line%%[[:space:]]*}"
        fi
    done <"$packages_file"
    return 0
}

missing_packages() {
    local name
    local -A present=()
    while read -r name; do present[${name%%:*}]=1; done < <(
        dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii  *//p'
    )
    # `libcurl4|libcurl4t64`: the first is the name to install; a later Debian has it under another one.
    wanted_packages "$1" | while IFS='|' read -r name other; do
        [[ -n ${present[$name]:-} || -n ${present[${other:-$name}]:-} ]] || printf '%s\n' "$name"
    done
}

# Installs without starting servers: the sandbox and the tests start their own, on free ports, as long as they need them.
install_packages() {
    local policy=/usr/sbin/policy-rc.d made_policy=no name
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=yes
    fi
    local status=0
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" || status=$?
    if [[ $made_policy == yes ]]; then rm -f "$policy"; fi
    if ((status == 0)) && [[ -d /run/systemd/system ]]; then
        for name in "$@"; do
            case $name in
            postgresql) systemctl disable postgresql.service ;;
            redis-server) systemctl disable redis-server.service ;;
            bind9) systemctl disable named.service ;;
            esac
        done
    fi
    return "$status"
}

debian_packages() { # $1: main | bench
    if ! command -v dpkg-query >/dev/null; then
        say "setup: this is no Debian; it needs what corresponds to these packages:"
        say "$(grep -v '^#' "$packages_file" | sed 's/^/    /')"
        return 0
    fi
    local missing
    mapfile -t missing < <(missing_packages "$1")
    ((${#missing[@]} == 0)) && return 0
    if ((EUID == 0)); then
        say "setup: Debian packages to install: ${missing[*]}"
        step "package lists" apt-update apt-get update
        step "packages" apt-install install_packages "${missing[@]}"
        return 0
    fi
    say "setup: these Debian packages are missing, and only root may install them:"
    local name
    for name in "${missing[@]}"; do
        say "    $(grep -E "^$name([|[:space:]]|\$)" "$packages_file" | sed -E 's/^([^|[:space:]]+)\|[^[:space:]]+/\1/')"
    done
    say "  run:  sudo apt-get install --no-install-recommends ${missing[*]}"
    say "  Tests and the sandbox that need them will fail or say so until then."
}

# --- Python environments ----------------------------------------------------------------------------------------

# Prints "VERSION PATH" (311 is Python 3.11) of an interpreter; a shim of a version manager resolves to the real program.
describe_python() {
    "$1" -I -c 'import os, sys; print("%d%02d" % sys.version_info[:2], os.path.realpath(sys.executable))' 2>/dev/null
}

# All interpreters of the machine, as "VERSION PATH" lines.
all_pythons() {
    local candidate
    for candidate in "${LIFEBOAT_PYTHON:-}" python3 /usr/bin/python3 python3.{9,10,11,12,13,14,15} \
        /usr/bin/python3.[0-9]* /usr/local/bin/python3.[0-9]* "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
        if [[ -n $candidate && $candidate != *-config ]] && command -v "$candidate" >/dev/null; then
            describe_python "$candidate" || true
        fi
    done
}

can_make_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# The interpreter for .venv: ansible-core 2.19 runs on 3.11 to 3.13. 3.11 where there is one: it is the oldest of them.
main_python() {
    local wanted version path
    for wanted in 311 312 313; do
        while read -r version path; do
            if ((version == wanted)) && can_make_environments "$path"; then
                printf '%s\n' "$path"
                return 0
            fi
        done <<<"$pythons"
    done
    return 1
}

newest_python() { # newer than the main one; ansible-core 2.21 runs on 3.12 to 3.14
    local version path
    while read -r version path; do
        if ((version > 311 && version <= 314)) && can_make_environments "$path"; then
            printf '%s\n' "$path"
            return 0
        fi
    done < <(sort -r -u <<<"$pythons")
    return 1
}

python39() {
    local version path
    while read -r version path; do
        if ((version == 309)) && can_make_environments "$path"; then
            printf '%s\n' "$path"
            return 0
        fi
    done <<<"$pythons"
    return 1
}

# A stamp holds the hash of all that decides what is in an environment.
fingerprint() { # folder, requirement file
    { echo "$1"; cat requirements.txt constraints.txt "$2" setup.py; sed '/^\[tool.ruff\]/,$d' pyproject.toml; pwd; } | sha256sum | cut -d ' ' -f 1
}

is_current() { # folder, requirement file
    [[ -x $1/bin/python && -f $1/.stamp && $(<"$1/.stamp") == "$(fingerprint "$1" "$2")" ]] && "$1/bin/python" -c '' 2>/dev/null
}

environment() { # folder, requirement file, interpreter, with the engine: yes | no
    local folder=$1 requirements=$2 python=$3 version name
    name=$(basename "$folder")
    version=$("$python" -c 'import platform; print(platform.python_version())')
    say "setup: $folder with Python $version"
    if [[ -x $folder/bin/python && $("$folder/bin/python" -c 'import platform; print(platform.python_version())' 2>/dev/null) == "$version" ]]; then
        rm -f "$folder/.stamp"
    else
        rm -rf "$folder"
        step "virtual environment" "venv$name" "$python" -m venv "$folder"
    fi
    step "$(grep -c '==' "$requirements") pinned requirements of $requirements" "pip$name" \
        "$folder/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --requirement "$requirements" --constraint constraints.txt
    if [[ $4 == yes ]]; then
        step "the engine as the package lifeboat" "engine$name" \
            "$folder/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
    fi
    fingerprint "$folder" "$requirements" >"$folder/.stamp"
}

set_up() { # folder, requirement file, function that finds the interpreter, what is needed
    is_current "$1" "$2" && return 0
    local python
    pythons=$(all_pythons)
    if ! python=$("$3"); then
        say "setup: $1 needs $4; this machine has: $(cut -d ' ' -f 1 <<<"$pythons" | sed -E 's/^(.)0?/\1./' | sort -uV | tr '\n' ' ')"
        return 3
    fi
    environment "$1" "$2" "$python" yes
}

# One set-up at a time: two would write the same environment.
exec 9>"$logs/lock"
if ! flock --nonblock 9; then
    say "setup: waiting for another set-up of this checkout"
    flock 9
fi

case ${1:-main} in
main)
    debian_packages main
    set_up .venv requirements-dev.txt main_python "Python 3.11, 3.12 or 3.13 with the venv module (Debian: python3-venv)"
    ;;
newest) set_up .venv-newest requirements-newest.txt newest_python "a Python newer than 3.11" ;;
py39) set_up .venv-3.9 requirements-py39.txt python39 "Python 3.9" ;;
bench) debian_packages bench ;;
*)
    say "usage: tools/setup.sh main|newest|py39|bench"
    exit 2
    ;;
esac
