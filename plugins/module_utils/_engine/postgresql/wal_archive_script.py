# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's ``archive_command``: a POSIX shell script, and what it is told about its spool.

The script starts five small programs a segment and no Python, whose start alone takes longer than a copy. Its promise
to PostgreSQL: status 0 means that the file is whole and durable in the spool under its own name; every other end is
status 1, with one line that says why and one that says what to type, and PostgreSQL keeps the file and asks again
(Continuous Archiving, "Setting Up WAL Archiving"). A status above 125 would end the archiver, so none is used.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from ..core.errors import PostgresSpoolSettingsInvalid
from .written_file import replace_file

#: The name of the settings inside of a spool; the dot keeps it from being shipped.
SETTINGS_NAME = ".settings"
#: Temporary names of the script: ``.tmp-wal.NAME.PROCESS``.
TEMPORARY_PREFIX = ".tmp-wal."
_LARGEST_IDENTIFIER = 1 << 64

ARCHIVE_SCRIPT = r"""#!/bin/sh
# Written by Lifeboat and replaced with its next version. In postgresql.conf:
#   archive_command = '/path/of/this/file /var/spool/lifeboat/SERVICE.SOURCE.wal %p %f'
# Puts one file of the WAL archive into the spool, whole and durable, under its own name: status 0. Every other end is
# status 1: PostgreSQL keeps the file and asks again. Nothing that has a name in the spool is ever replaced.
# shellcheck disable=SC2254 # patterns in variables are meant
set -u
LC_ALL=C
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
umask 027 # who may read is decided by the mode of the spool itself
temporary=

refuse() { # word, what is wrong, what to do next
    [ -z "$temporary" ] || rm -f "$temporary"
    printf 'lifeboat-archive-wal: [%s] %s\nlifeboat-archive-wal: next: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

[ $# -eq 3 ] || refuse usage "there are $# arguments, and three are needed" "archive_command = '$0 SPOOL %p %f'"
spool=$1 path=$2 name=$3
case $spool in
    /*) ;;
    *) refuse usage "the spool $spool is not an absolute path" "archive_command = '$0 /var/spool/lifeboat/... %p %f'" ;;
esac
target=$spool/$name

hex='[0-9A-F]'
hex=$hex$hex$hex$hex$hex$hex$hex$hex
case $name in
    $hex$hex$hex | $hex$hex$hex.partial) what=segment ;;
    $hex$hex$hex.$hex.backup | $hex.history) what=note ;;
    *) refuse name "$name is no name of a file in a WAL archive" "archive_command = '$0 $spool %p %f'" ;;
esac

[ -w "$spool/." ] || refuse spool "the spool $spool is not there or can't be written" "ls -ld $spool"
identifier='' budget=''
if [ -r "$spool/.settings" ]; then
    while IFS='=' read -r key value; do
        case $key in
            system_identifier) identifier=$value ;;
            budget_mib) budget=$value ;;
        esac
    done <"$spool/.settings"
fi
case $identifier:$budget in
    :* | *: | *[!0-9:]*)
        refuse settings "$spool/.settings doesn't say whose WAL this spool takes, and how much" \
            "lifeboat ship writes it; then: cat $spool/.settings"
        ;;
esac

foreign() { # system identifier
    refuse foreign-cluster "$name belongs to the cluster $1, and this spool to $identifier" \
        "give this cluster an archive of its own, or switch its archiving off (archive_mode)"
}

if [ "$what" = segment ]; then
    # The first page's header (src/include/access/xlog_internal.h) in numbers of 4 and of 8 bytes: 1 magic and flags,
    # 2 timeline, 6 position, 12 system identifier, 13 size of the segment, 14 size of a page.
    header=$(od -An -v -t u4 -t u8 -N 40 "$path") || refuse unreadable "$path can't be read" "ls -l $PWD/$path"
    # shellcheck disable=SC2086 # split into its numbers
    set -- $header
    if [ $# -ne 15 ] || [ "$1" -eq 0 ] || [ "${13}" -lt 1048576 ] || [ "${14}" -lt 512 ]; then
        refuse damaged "$path does not begin like WAL: it is empty, zeroed or damaged" "pg_waldump $PWD/$path | tail"
    fi
    [ "${12}" = "$identifier" ] || foreign "${12}"
    size=${13}
    plain=${name%.partial}
    low=${plain#????????????????}
    high=${plain%????????}
    high=${high#????????}
    if [ "$6" != $((0x$high * 4294967296 + 0x$low * size)) ] || [ "$2" -gt $((0x${plain%????????????????})) ]; then
        refuse misnamed "$path holds other WAL than its name $name says" "pg_waldump $PWD/$path | head"
    fi
elif [ -r global/pg_control ]; then
    # Such a file doesn't say whose it is, but PostgreSQL calls from inside of its data directory.
    header=$(od -An -v -t u8 -N 8 global/pg_control) || refuse unreadable "pg_control can't be read" "ls -l $PWD/global"
    # shellcheck disable=SC2086 # without its blanks
    set -- $header
    [ "$1" = "$identifier" ] || foreign "$1"
fi

if [ -e "$target" ] || [ -L "$target" ]; then
    cmp -s "$path" "$target"
    case $? in
        0) ;;
        1) refuse conflict "$target is there already, with other content" "cmp -l $PWD/$path $target | head" ;;
        *) refuse unreadable "$path can't be compared with $target" "ls -l $PWD/$path $target" ;;
    esac
    # Whoever put it there may have died before its name was durable.
    sync "$spool" || refuse sync "the names in $spool could not be made durable" "dmesg | tail"
    exit 0
fi

# What one that was killed has left behind.
for left in "$spool"/.tmp-wal.*; do
    [ ! -e "$left" ] || kill -0 "${left##*.}" 2>/dev/null || rm -f "$left"
done

if [ "$what" = segment ]; then
    # shellcheck disable=SC2086 # a pattern
    set -- "$spool"/$hex$hex$hex
    waiting=$#
    [ -e "$1" ] || waiting=0
    [ $(((waiting + 1) * (size / 1048576))) -le "$budget" ] ||
        refuse budget "$waiting segments wait in $spool, and its budget is $budget MiB; the WAL stays in pg_wal" \
            "see why they are not shipped: lifeboat ship --status"
fi

trap 'rm -f "$temporary"; exit 1' HUP INT TERM
temporary=$spool/.tmp-wal.$name.$$
# Larger blocks took twice the time: the kernel takes larger pieces of memory then, which a virtual machine must fetch.
copied=$(dd "if=$path" "of=$temporary" bs=65536 conv=fsync 2>&1) ||
    case $copied in
        *'No space left'* | *'quota exceeded'*)
            refuse no-space "the disk of $spool is full; the WAL stays in pg_wal" "df -h $spool" ;;
        *) refuse copy "copying $path failed: $copied" "ls -ld $PWD/$path $spool; dmesg | tail" ;;
    esac
if [ "$what" = segment ]; then
    case $copied in
        "$((size / 65536))+0 records in"*) ;;
        *) refuse truncated "$path has not the size of a segment, $size bytes" "ls -l $PWD/$path" ;;
    esac
fi
# Its time is when PostgreSQL wrote it last, not when it came here.
touch -r "$path" "$temporary" || refuse copy "the time of $path can't be copied" "ls -l $PWD/$path"
mv -n "$temporary" "$target" || refuse rename "$temporary can't become $target" "ls -ld $spool"
[ ! -e "$temporary" ] || refuse raced "somebody else put $target there meanwhile" "nothing: the next try compares them"
temporary=
sync "$spool" || refuse sync "the names in $spool could not be made durable" "dmesg | tail"
"""


@dataclass(frozen=True)
class SpoolSettings:
    """What the script needs to know of its spool: whose WAL it takes, and how many MiB of it may wait."""

    system_identifier: str
    budget_mib: int

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be."""
        if not self.system_identifier.isdigit() or not 0 < int(self.system_identifier) < _LARGEST_IDENTIFIER:
            raise ValueError(f"{self.system_identifier!r} is no system identifier")
        if self.budget_mib < 1:
            raise ValueError(f"a spool with room for {self.budget_mib} MiB takes nothing")


def write_archive_script(path: str) -> bool:
    """Put the script there, mode 0755; False when the same is there already. Raises OSError."""
    return replace_file(path, ARCHIVE_SCRIPT, mode=0o755)


def write_spool_settings(spool: str, settings: SpoolSettings) -> bool:
    """Tell the script about its spool; False when it knows the same already. Raises OSError."""
    text = f"system_identifier={settings.system_identifier}\nbudget_mib={settings.budget_mib}\n"
    return replace_file(os.path.join(spool, SETTINGS_NAME), text, mode=0o644)


def read_spool_settings(spool: str) -> SpoolSettings | None:
    """What the script was told; None when nobody told it yet. Raises PostgresSpoolSettingsInvalid."""
    path = os.path.join(spool, SETTINGS_NAME)
    values: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                key, _equals, value = line.rstrip("\n").partition("=")
                values[key] = value
        return SpoolSettings(
            system_identifier=values.get("system_identifier", ""), budget_mib=int(values.get("budget_mib", ""))
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PostgresSpoolSettingsInvalid(
            f"{path} can't be read as the settings of a spool: {error}.",
            hint=f"Look at it, then remove it, and the next `lifeboat ship` writes it anew: cat {path}",
            details={"path": path},
        ) from error


def archive_command(*, script: str, spool: str) -> str:
    """The value of ``archive_command`` that calls the script. A percent sign in a path is doubled."""
    return " ".join([*(shlex.quote(path.replace("%", "%%")) for path in (script, spool)), "%p", "%f"])


def is_archive_command(command: str, *, spool: str) -> bool:
    """Whether a server's ``archive_command`` feeds that spool by this script, under whatever name it lies."""
    return command.strip().endswith(f" {shlex.quote(spool.replace('%', '%%'))} %p %f")
