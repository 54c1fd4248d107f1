# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of RESTORE.md for base backups: stock tools only."""

from __future__ import annotations

import typing as t

from .base_backup_tool import TablespacePayload
from .options import IncrementalParent
from .restore_words import become_postgres

_HEAD = """\
The programs must be those of PostgreSQL {major} (on Debian and Ubuntu: `apt install postgresql-{major}`).

"""
_FULL = """\
## Unpack and check

    mkdir -m 0700 restored
    {fetch} | tar -x -C restored
{tablespaces}    pg_verifybackup restored
"""
_TABLESPACE = """\
    mkdir -m 0700 tablespace-{oid}
    {fetch} | tar -x -C tablespace-{oid}
    ln -s "$PWD/tablespace-{oid}" {folder}/pg_tblspc/{oid}
"""
_TABLESPACES = """\
The tablespaces are in folders of their own beside `restored`:

{names}

Put them on other disks when you like (`mv`, then `ln -sfn NEW restored/pg_tblspc/OID` while the server is down). Where
they were is in `tablespace_map`, which the server would obey at its first start: it would put links to those folders in
place of yours, into whatever cluster uses them now. So it must go:

    rm restored/tablespace_map
"""
_INCREMENTAL = """\
This backup is incremental: it holds only what changed since `{parent}`. Needed are, in this order: {chain}.

## Unpack

Copy the folders of the others to the host, too, beside this one (the full one lies under `base/` in the repository).
In each of them do what its own RESTORE.md says until its data is unpacked. Then here:

    mkdir -m 0700 increment
    {fetch} | tar -x -C increment
{tablespaces}
## Combine and check

    pg_combinebackup {folders} -o restored{mappings}
    pg_verifybackup restored
"""
_STANDBY = """\
The backup was made from a standby, so it would start as one and follow the primary. For a cluster of its own:

    rm restored/standby.signal
"""
_START = """\
## Start

Debian keeps the configuration outside of the data, so it is not in the backup. These are enough to get at the data:

    [ -e restored/postgresql.conf ] || touch restored/postgresql.conf
    [ -e restored/pg_ident.conf ] || touch restored/pg_ident.conf
    [ -e restored/pg_hba.conf ] || echo 'local all all peer' > restored/pg_hba.conf

The WAL of the backup is inside, so it starts without an archive. The options keep it apart from the cluster that it was
made from, whatever the configuration says: its own port, no other network, no archive, these very files:

    pg_ctl -D restored -l restored.log -w -o "-p 5433 -k /tmp {options}" start
    psql -h /tmp -p 5433 -d postgres -c 'SELECT pg_is_in_recovery()'

It is ready when the answer is `f`. If it does not start, `restored.log` says why; most often a setting of the old host
is wrong here (a library, a certificate, more memory than there is): change it in `restored/postgresql.conf`.

For production stop it (`pg_ctl -D restored stop`), move `restored` to where the data belongs, and put the configuration
of the old host in its place (Debian: `/etc/postgresql/{major}/main`).
"""
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c archive_mode=off -c data_directory='$PWD/restored' "
    "-c hba_file='$PWD/restored/pg_hba.conf' -c ident_file='$PWD/restored/pg_ident.conf'"
)


def base_restore_commands(
    *,
    major: int,
    backup_id: str,
    payload: str,
    from_standby: bool,
    parent: IncrementalParent | None,
    tablespaces: t.Sequence[TablespacePayload] = (),
) -> str:
    """Markdown that makes a running cluster of the backup (and of those it builds on)."""
    fetch = f"{{fetch:{payload}}}"
    parts = [_HEAD.format(major=major) + become_postgres(major=major)]
    if parent is None:
        parts.append(_FULL.format(fetch=fetch, tablespaces=_linked(tablespaces, folder="restored")))
    else:
        chain = [*parent.chain, backup_id]
        parts.append(
            _INCREMENTAL.format(
                parent=parent.backup_id,
                chain=", ".join(f"`{one}`" for one in chain),
                folders=_folders(parent.chain),
                fetch=fetch,
                tablespaces=_linked(tablespaces, folder="increment"),
                mappings=_mappings(tablespaces),
            )
        )
    if tablespaces:
        names = "\n".join(f"- {one.oid}: {one.name}, which was in `{one.location}`" for one in tablespaces)
        parts.append(_TABLESPACES.format(names=names))
    if from_standby:
        parts.append(_STANDBY)
    parts.append(_START.format(major=major, options=_OPTIONS))
    return "\n".join(parts)


def _linked(tablespaces: t.Sequence[TablespacePayload], *, folder: str) -> str:
    return "".join(
        _TABLESPACE.format(oid=one.oid, fetch=f"{{fetch:{one.payload}}}", folder=folder) for one in tablespaces
    )


def _mappings(tablespaces: t.Sequence[TablespacePayload]) -> str:
    return "".join(
        f' --tablespace-mapping="$PWD/tablespace-{one.oid}=$PWD/restored-tablespace-{one.oid}"' for one in tablespaces
    )


def _folders(parents: t.Sequence[str]) -> str:
    """Where the commands above have put each, the full one first."""
    unpacked = ["restored", *("increment" for _increment in parents[1:])]
    return " ".join([*(f"../{parent}/{folder}" for parent, folder in zip(parents, unpacked)), "increment"])
