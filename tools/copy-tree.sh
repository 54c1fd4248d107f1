#!/usr/bin/env bash
# Copies what a clone would have (known to git, or new and not ignored) to a folder that didn't exist.
#
#   tools/copy-tree.sh FOLDER
#
# The two links of the checkout to itself stay behind: .collections (ansible.cfg) and tools/typing (mypy).

set -euo pipefail
cd "$(dirname "$0")/.."

readonly target=$1
if [[ -e $target ]]; then
    echo "$0: $target is already there" >&2
    exit 2
fi
mkdir -p "$target"
git ls-files -z --cached --others --exclude-standard -- ':!.collections' ':!tools/typing' |
    while IFS= read -r -d '' path; do
        # Deleted, and not yet committed as such: a clone of the next commit would not have it.
        if [[ -e $path || -L $path ]]; then printf '%s\0' "$path"; fi
    done |
    tar --create --null --files-from=- | tar --extract --directory="$target"
