# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``RESTORE.md``: how to get the data back with stock tools only, for the person who has nothing but the bucket."""

from __future__ import annotations

import re
import shlex
import typing as t

from ..pipeline.producer import StoredPayload
from ..pipeline.transforms import Compression, Encryption
from .manifest import Manifest

_FETCH = re.compile(r"\{fetch:([^}]+)\}")

_TEMPLATE = """\
# Restore {series}: {engine} {kind} of {backup_id}

Taken on {host} from {started:%Y-%m-%d %H:%M:%S} to {finished:%H:%M:%S} UTC by Lifeboat {version}. Nothing below needs
Lifeboat: only {tools} and the database's own tools. `manifest.json` beside this file has the details.
{parent}
## 1. Fetch

Copy the folder `{folder}` from the repository to the host, and go there:

```sh
cd {backup_id}
```

## 2. Check

Every line must say OK:

```sh
sha256sum -c <<'END'
{sums}
END
```

## 3. Restore
{key}
{commands}
"""

_PARENT = """
This is an increment: it needs the backup `{parent}` (and that one's parents) as well.
"""

_KEY = """
The payloads are encrypted with [age](https://age-encryption.org). Point to the private key first:

```sh
export AGE_IDENTITY=/path/to/identity.txt   # the file that holds AGE-SECRET-KEY-...
```
"""


def restore_notes(manifest: Manifest, *, commands: str) -> str:
    """The text of RESTORE.md.

    *commands* is the producer's Markdown; each ``{fetch:NAME}`` in it becomes the pipe that prints the plain bytes of
    the payload with that plain name. Raises ``ValueError`` for a name that the manifest does not have.
    """
    by_plain_name = {plain_name(payload): payload for payload in manifest.payloads}

    def replace(found: t.Match[str]) -> str:
        if found.group(1) not in by_plain_name:
            raise ValueError(f"the restore commands name {found.group(1)}, which is no payload")
        return fetch_command(by_plain_name[found.group(1)])

    tools = [tool for tool, used in (("zstd", manifest.compression), ("age", manifest.encryption)) if used]
    return _TEMPLATE.format(
        series=f"{manifest.service}/{manifest.source}",
        engine=manifest.engine,
        kind=manifest.kind,
        backup_id=manifest.backup_id,
        host=manifest.host,
        started=manifest.started,
        finished=manifest.finished,
        version=manifest.lifeboat_version,
        tools=", ".join([*tools, "sha256sum"]),
        parent=_PARENT.format(parent=manifest.parent) if manifest.parent else "",
        folder=manifest.folder.key(""),
        sums="\n".join(f"{payload.sha256}  {payload.name}" for payload in manifest.payloads),
        key=_KEY if manifest.encryption else "",
        commands=_FETCH.sub(replace, commands).strip(),
    )


def plain_name(payload: StoredPayload) -> str:
    """The payload's name without the suffixes of encryption and compression."""
    name = payload.name
    for used, suffix in ((payload.encryption, Encryption.suffix), (payload.compression, Compression.suffix)):
        if used and name.endswith(suffix):
            name = name[: -len(suffix)]
    return name


def fetch_command(payload: StoredPayload) -> str:
    """The shell pipe that prints the payload's plain bytes."""
    name = shlex.quote(payload.name)
    if payload.encryption and payload.compression:
        return f"{Encryption.undo} {name} | {Compression.undo}"
    if payload.encryption:
        return f"{Encryption.undo} {name}"
    return f"{Compression.undo} {name}" if payload.compression else f"cat {name}"
