# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every RESTORE.md of PostgreSQL begins with: who runs the commands, and where the programs are."""

from __future__ import annotations

_BECOME = """\
Everything runs as the user `postgres`, who needs this folder. As root, in it:

```sh
chown -R postgres: .
su postgres -s /bin/bash
```

In that shell, for Debian, Ubuntu and Red Hat keep the programs where no PATH leads:

```sh
export PATH="$PATH:/usr/lib/postgresql/{major}/bin:/usr/pgsql-{major}/bin"
```
"""


def become_postgres(*, major: int) -> str:
    """Markdown that turns root's shell into one of ``postgres`` with the programs of that version."""
    return _BECOME.format(major=major)
