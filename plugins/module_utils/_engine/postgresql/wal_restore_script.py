# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's ``restore_command``: a POSIX shell script that never mistakes trouble for the end of the archive.

PostgreSQL takes every status from 1 to 125 as "there is no such file, so the archive ends here", and promotes (measured
with 15.18: with one passing failure in the middle five of six rows were lost, and starting reported success). So the
script ends with 0 when the file is in place, with 1 only when somebody who knows says that there is none, and with 255
in every other case: then the server stops with ``FATAL`` and nothing is lost.

What the script and whoever fetches for it (``wal_fetcher.py``) say to each other are files in the cache folder:

``NAME``: the file itself, whole; the script moves it to where PostgreSQL wants it.
``want-NAME``: the script asks for it.   ``missing-NAME``: the answer that it is certainly nowhere.
``hopeless-NAME``: the answer that waiting helps nobody (a wrong key, no right to read, an unknown repository), and why.
``problem-NAME``: why it is not there yet, in words.   ``fetcher.pid``: the process that answers.
``.settings``: ``wait_seconds``, ``segment_size``; ``standby=1`` is for a server that never opens at the end of the
archive: it is told 1 where nobody knows, and goes on with its primary. ``fetch``: a command that gets a name and a path
and ends with 0 (it is there), 3 (certainly missing), 77 or 78 (not allowed, set up wrongly: waiting helps nobody) or
anything else (trouble). It is run when no process answers.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from .written_file import replace_file

SETTINGS_NAME = ".settings"
PROCESS_NAME = "fetcher.pid"
WANT, MISSING, HOPELESS, PROBLEM = "want-", "missing-", "hopeless-", "problem-"
#: How long the script waits for a file, in seconds, when its settings don't say.
WAIT_SECONDS = 120

RESTORE_SCRIPT = r"""#!/bin/sh
# Written by Lifeboat and replaced with its next version. For a server in recovery:
#   restore_command = '/path/of/this/file CACHE_DIRECTORY %f %p'
# Status 0: the file is in place. 1: there is certainly none. 255: nobody knows, so that PostgreSQL stops; to it every
# status from 1 to 125 means that the archive ends here, and it would open for writing without what comes behind.
# shellcheck disable=SC2254 # patterns in variables are meant
set -uf
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
umask 077

say() {
    printf 'lifeboat-fetch-wal: %s\n' "$1" >&2
}

standby=
give_up() {
    # A standby never opens at the end of an archive: it goes on with its primary, and asks here again.
    if [ -n "$standby" ]; then
        say "$1"
        exit 1
    fi
    say "$1; status 255, so that the recovery stops instead of ending early"
    exit 255
}

[ $# -eq 3 ] || give_up "there are $# arguments, and three are needed: restore_command = '$0 CACHE_DIRECTORY %f %p'"
cache=$1 name=$2 path=$3
hex='[0-9A-F]'
hex=$hex$hex$hex$hex$hex$hex$hex$hex
case $name in
    $hex$hex$hex | $hex$hex$hex.partial) is_segment=1 ;;
    $hex$hex$hex.$hex.backup | $hex.history) is_segment=0 ;;
    *) give_up "$name is no name of a file in a WAL archive" ;;
esac
[ -d "$cache" ] || give_up "the cache $cache is not there"

fetch='' size='' wait_seconds=120
if [ -r "$cache/.settings" ]; then
    while IFS='=' read -r key value; do
        case $key in
            fetch) fetch=$value ;;
            segment_size) size=$value ;;
            wait_seconds) wait_seconds=$value ;;
            standby) standby=$value ;;
        esac
    done <"$cache/.settings"
fi

deliver() { # a whole file; status 1 when it is not there or short
    [ -f "$1" ] || return 1
    if [ "$is_segment" = 1 ] && [ -n "$size" ]; then
        found=$(wc -c <"$1") || return 1
        if [ "$found" -ne "$size" ]; then
            say "$1 has $found bytes instead of $size; it is fetched again"
            rm -f "$1"
            return 1
        fi
    fi
    mv -f "$1" "$path"
}

is_answered() { # whether a process answers what is asked in the cache
    process=
    [ ! -r "$cache/fetcher.pid" ] || read -r process <"$cache/fetcher.pid"
    [ -n "$process" ] && [ -d "/proc/$process" ]
}

fetch_it() {
    temporary=$cache/.tmp-fetch.$name.$$
    status=0
    # shellcheck disable=SC2086 # a command and its arguments
    $fetch "$name" "$temporary" || status=$?
    case $status in
        0) deliver "$temporary" && exit 0 ;;
        3) exit 1 ;;
        77 | 78) give_up "fetching $name ended with status $status, and waiting helps nobody" ;;
        *) say "fetching $name ended with status $status" ;;
    esac
    rm -f "$temporary"
    pause=1000 # a command is not to be started fifty times a second
}

deliver "$cache/$name" && exit 0
# An answer to somebody who asked before us may be out of date.
for answer in missing hopeless; do
    [ ! -e "$cache/$answer-$name" ] || rm -f "$cache/$answer-$name"
done
waited=0 # in milliseconds
pause=20
while :; do
    if [ -n "$fetch" ] && ! is_answered; then
        fetch_it
    elif [ -n "$standby" ] && ! is_answered; then
        give_up "no process answers in $cache"
    elif [ $((waited % 1000)) -eq 0 ]; then
        : >"$cache/want-$name" || give_up "nothing can be asked in $cache"
    fi
    [ "$waited" -lt $((wait_seconds * 1000)) ] || break
    if [ "$waited" -ge 10000 ]; then
        pause=1000
    elif [ "$waited" -ge 1000 ] && [ "$pause" -lt 100 ]; then
        pause=100
    fi
    # Not every system's sleep knows parts of a second.
    sleep "$((pause / 1000)).$(((pause % 1000) / 100))$(((pause % 100) / 10))" 2>/dev/null ||
        sleep 1 || give_up "sleep failed"
    waited=$((waited + pause))
    deliver "$cache/$name" && exit 0
    if [ -e "$cache/missing-$name" ]; then
        rm -f "$cache/missing-$name"
        exit 1
    fi
    if [ -e "$cache/hopeless-$name" ]; then
        reason=
        read -r reason <"$cache/hopeless-$name"
        rm -f "$cache/hopeless-$name"
        give_up "$name can't be had: ${reason:-no reason is given}"
    fi
done
reason=
[ ! -r "$cache/problem-$name" ] || read -r reason <"$cache/problem-$name"
[ -n "$reason" ] || is_answered || reason="no process answers in $cache"
give_up "$name did not come within $wait_seconds seconds: ${reason:-no answer}"
"""


@dataclass(frozen=True)
class CacheSettings:
    """What the script is told: how long it waits, how long a segment is (bytes), and what a standby fetches with.

    *fetch* is a command and its arguments, without blanks inside of any of them. With *standby* trouble is no reason to
    stop the server.
    """

    wait_seconds: int = WAIT_SECONDS
    segment_size: int | None = None
    fetch: tuple[str, ...] = ()
    standby: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a command that the script would take apart in another way."""
        for word in self.fetch:
            if not word or word != shlex.quote(word):
                raise ValueError(f"{word!r} can't be a word of the fetch command")


def write_restore_script(path: str) -> bool:
    """Put the script there, mode 0755; False when the same is there already. Raises OSError."""
    return replace_file(path, RESTORE_SCRIPT, mode=0o755)


def write_cache_settings(cache: str, settings: CacheSettings) -> bool:
    """Tell the script; False when it knows the same already. Raises OSError."""
    lines = [f"wait_seconds={settings.wait_seconds}"]
    if settings.segment_size is not None:
        lines.append(f"segment_size={settings.segment_size}")
    if settings.standby:
        lines.append("standby=1")
    if settings.fetch:
        lines.append(f"fetch={' '.join(settings.fetch)}")
    return replace_file(os.path.join(cache, SETTINGS_NAME), "\n".join(lines) + "\n", mode=0o644)


def restore_command(*, script: str, cache: str) -> str:
    """The value of ``restore_command`` that calls the script. A percent sign in a path is doubled."""
    return " ".join([*(shlex.quote(path.replace("%", "%%")) for path in (script, cache)), "%f", "%p"])
