#!/bin/sh
# Prints the versions below $0/versions that may go: not the current one, not the newest $1 of the others, and none that a
# process still runs from. What an installation left that did not come to its end is none to go back to, and is not counted.
# The name that is looked for comes by a pipe, or this search would find itself.
cd "$0/versions" || exit 1
current=$(basename "$(readlink "$0/current")")
kept=0
# shellcheck disable=SC2012  # names are made of versions and hexadecimal digits; find does not sort by time
ls -1t | while read -r version; do
    [ "$version" = "$current" ] && continue
    if [ -e "$version/complete" ]; then
        kept=$((kept + 1))
        [ "$kept" -le "$1" ] && continue
    fi
    # shellcheck disable=SC2062 # these are files, and the pattern comes by -f
    printf '%s' "$0/versions/$version/" | grep -qsaF -f - /proc/[0-9]*/cmdline && continue
    printf '%s\n' "$version"
done
