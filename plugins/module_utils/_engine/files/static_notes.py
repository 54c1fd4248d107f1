# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of RESTORE.md of an increment of the kind static, with tar and grep alone."""

from __future__ import annotations

import typing as t

from .restore_notes import PREPARING

_WHAT_IT_IS = """\
This is an increment: its `files.tar` has every folder and link, and of the files those that are new or changed. All
others lie in the `files.tar` of {others}. Copy these folders to the host, too, beside this one.

"""
_REST = """\
`kept.names` says which file lies in which of them: the id, a space, the path, a zero byte. First out of each what is
needed of it, then all of this one:

```sh
plain() {{   # prints the plain bytes of a payload: plain FOLDER NAME
  for stored in "$1/$2"*; do
    case "$stored" in
      *.zst.age) age -d -i "$AGE_IDENTITY" "$stored" | zstd -dc ;;
      *.age) age -d -i "$AGE_IDENTITY" "$stored" ;;
      *.zst) zstd -dc "$stored" ;;
      *) cat "$stored" ;;
    esac
  done
}}
NAMES=$(mktemp)
for ID in {ids}; do
  {{fetch:kept.names}} | LC_ALL=C grep -az "^$ID " | LC_ALL=C cut -z -d ' ' -f 2- > "$NAMES"
  plain "../$ID" files.tar | tar -x $FLAGS -C "$INTO" --null --verbatim-files-from -T "$NAMES"
done
rm "$NAMES"
{{fetch:files.tar}} | tar -x $FLAGS -C "$INTO"
```

See where one file lies:

```text
{{fetch:kept.names}} | tr '\\0' '\\n' | grep logo.png
```

`files.jsonl` is the list of all entries, a JSON document in each line: path, kind, mode, owner, time, size, SHA-256,
and the backup that has the content where it is not this one. Compare what came back with it.

```sh
{{fetch:files.jsonl}} | sed -n 1,10p
```
"""
_NOTHING = """\
This is an increment that needs no other: its `files.tar` has every file.

Run this as root: owners, access lists and attributes can't be given back by anybody else. GNU tar must be 1.29 or
later.

```sh
INTO=${{INTO:-/root/restored}}                # an empty folder; nothing that exists is touched
FLAGS="--same-owner --same-permissions --numeric-owner --acls --xattrs --xattrs-include=*"
mkdir -p "$INTO"
{{fetch:files.tar}} | tar -x $FLAGS -C "$INTO"
```
"""


def increment_commands(*, needed: t.Sequence[str]) -> str:
    """*needed* are the ids of the backups whose tars have files of it."""
    if not needed:
        return _NOTHING.format()
    return (_WHAT_IT_IS + PREPARING + _REST).format(
        others=", ".join(f"`{one}`" for one in needed), ids=" ".join(needed)
    )
