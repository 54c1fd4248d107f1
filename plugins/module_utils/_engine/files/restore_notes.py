# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of RESTORE.md, with tar alone."""

from __future__ import annotations

FILES_PAYLOAD = "files.tar"
LIST_PAYLOAD = "files.jsonl"
SYSTEM_PAYLOAD = "system.tar"
#: Of increments (kind static): which file lies in the tar of which earlier backup.
KEPT_PAYLOAD = "kept.names"

#: How every unpacking begins: a part of a format, as all commands here.
PREPARING = """\
Run this as root: owners, access lists and attributes can't be given back by anybody else. `FLAGS` has GNU tar (1.29 or
later) restore everything that the backup has.

```sh
INTO=${{INTO:-/root/restored}}                # an empty folder; nothing that exists is touched
FLAGS="--same-owner --same-permissions --numeric-owner --acls --xattrs --xattrs-include=*"
mkdir -p "$INTO"
```

"""
_COMMANDS = (
    PREPARING
    + """\
See what is in it. Names have no slash at the beginning:

```sh
{{fetch:files.tar}} | tar -tv
```

All of it, beside what is there:

```sh
{{fetch:files.tar}} | tar -x $FLAGS -C "$INTO"
```

One file or folder only, for example the first one of the backup:

```sh
{{fetch:files.tar}} | tar -x $FLAGS -C "$INTO" {first}
```

`files.jsonl` is the list of all entries, a JSON document in each line: path, kind, mode, owner, time, size, SHA-256.

```sh
{{fetch:files.jsonl}} | head
```

## In place

See first what differs from what the host has now; this changes nothing (tar ends with 1 when something differs):

```sh
{{fetch:files.tar}} | tar -d --acls --xattrs -C /
```

Then, only if that is what you want: keep what would be replaced, and put the backup's in its place.

```text
{{fetch:files.tar}} | tar -x $FLAGS --backup=numbered -C /
```
{system}"""
)

_SYSTEM = """
## The host

`system.tar` says what the host was: kernel, packages, services, network, disks, cron, firewall, as plain text.

```sh
{fetch:system.tar} | tar -x -C "$INTO"
ls "$INTO/system"
```
"""


_INTO = """\
```sh
INTO=${INTO:-/root/restored}                # an empty folder; nothing that exists is touched
mkdir -p "$INTO"
```
"""


def system_commands(*, is_there: bool) -> str:
    """Of the description of the host alone."""
    return _INTO + _SYSTEM if is_there else ""


def restore_commands(*, first: str, has_system: bool) -> str:
    """*first* is the path of a root of the backup, quoted for a shell."""
    braces = first.replace("{", "{{").replace("}", "}}")
    return _COMMANDS.format(first="@FIRST@", system=_SYSTEM if has_system else "").replace("@FIRST@", braces)
