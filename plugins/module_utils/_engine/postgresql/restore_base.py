# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of RESTORE.md for base backups: stock tools only."""

from __future__ import annotations

from .options import IncrementalParent

_HEAD = """\
The programs must be those of PostgreSQL {major}, and everything runs as the user `postgres`.
"""
_FULL = """\
## Unpack and check

    mkdir -m 0700 restored
    {fetch} | tar -x -C restored
    pg_verifybackup restored
"""
_INCREMENTAL = """\
This backup is incremental: it holds only what changed since `{parent}`. Needed are, in this order: {chain}.

## Unpack

Unpack each of them into a folder of its own, named by its id, as its own RESTORE.md says. This one:

    mkdir -m 0700 {backup_id}
    {fetch} | tar -x -C {backup_id}

## Combine and check

    pg_combinebackup {folders} -o restored
    pg_verifybackup restored
"""
_STANDBY = """\
The backup was made from a standby, so it would start as one and follow the primary. For a cluster of its own:

    rm restored/standby.signal
"""
_START = """\
## Start

The WAL of the backup is inside, so it starts without an archive. `archive_mode=off` keeps it from writing into the
archive of the cluster that it was made from; a port of its own keeps the two apart:

    pg_ctl -D restored -l restored.log -w -o '-p 5433 -c archive_mode=off' start
    psql -p 5433 -d postgres -c 'SELECT pg_is_in_recovery()'

It is ready when the answer is `f`.

Debian keeps the configuration outside of the data: there copy postgresql.conf, pg_hba.conf and conf.d from
/etc/postgresql/{major}/main of the old host into `restored` first.
"""


def base_restore_commands(
    *, major: int, backup_id: str, payload: str, from_standby: bool, parent: IncrementalParent | None
) -> str:
    """Markdown that makes a running cluster of the backup (and of those it builds on)."""
    fetch = f"{{fetch:{payload}}}"
    parts = [_HEAD.format(major=major)]
    if parent is None:
        parts.append(_FULL.format(fetch=fetch))
    else:
        chain = [*parent.chain, backup_id]
        parts.append(
            _INCREMENTAL.format(
                parent=parent.backup_id,
                chain=", ".join(f"`{one}`" for one in chain),
                folders=" ".join(chain),
                backup_id=backup_id,
                fetch=fetch,
            )
        )
    if from_standby:
        parts.append(_STANDBY)
    parts.append(_START.format(major=major))
    return "\n".join(parts)
