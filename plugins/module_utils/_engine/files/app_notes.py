# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of RESTORE.md of an application, with tar and git alone."""

from __future__ import annotations

import typing as t

from .restore_notes import restore_commands, system_commands

_BUNDLES = """\

## {title}

Each bundle is a whole repository with all its branches and tags. `git clone` takes its file as it takes an address.

```sh
CODE=${{CODE:-/root/restored-code}}           # an empty folder; nothing that exists is touched
mkdir -p "$CODE"
```
"""
_BUNDLE = """
{path}, as a repository with every ref, and the files of the commit that was checked out:

```sh
@FETCH@ > "$CODE"/{payload}
git clone --mirror "$CODE"/{payload} "$CODE"/{name}.git
git -C "$CODE"/{name}.git fsck
git clone "$CODE"/{payload} "$CODE"/{name}
```
"""


def app_commands(*, first: str, has_tree: bool, has_system: bool, bundles: t.Sequence[tuple[str, str]]) -> str:
    """*first* as of :func:`restore_notes.restore_commands`; *bundles* are paths and payloads."""
    text = restore_commands(first=first, has_system=has_system) if has_tree else system_commands(is_there=has_system)
    if bundles:
        text += _BUNDLES.format(title="The repositories" if len(bundles) > 1 else "The repository")
    for path, payload in bundles:
        block = _BUNDLE.format(path="@PATH@", payload=payload, name=payload.rpartition(".")[0])
        text += block.replace("@FETCH@", f"{{fetch:{payload}}}").replace("@PATH@", f"`{path}`")
    return text
