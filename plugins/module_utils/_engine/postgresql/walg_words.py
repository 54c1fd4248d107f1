# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of RESTORE.md for backups of WAL-G: its own stock commands."""

from __future__ import annotations

import shlex
import typing as t

from .restore_words import become_postgres

_TEXT = """\
The data of this backup is not in this repository. It lies in the storage of WAL-G `{storage}` as `{name}`{delta}.

Needed are WAL-G (3.0.9 or later, the build for PostgreSQL), a configuration that names this storage (and the key, where
it is encrypted), and the programs of PostgreSQL {major} (on Debian and Ubuntu: `apt install postgresql-{major}`). What
is stored here beside this text is WAL-G's own note about the backup:

    {fetch}

{account}
## Fetch

The configuration was `{config}` on the host of the server; in the commands it is `walg.json`.

    wal-g --config walg.json backup-list --detail
    wal-g --config walg.json backup-fetch restored {quoted}
    chmod 0700 restored

The backup holds no WAL. Without it the cluster must not be started. These are needed to make it consistent:

    mkdir -p restored/pg_wal
{segments}

Each of them must end without an error: a status of 74 says that the file is not in the storage.

## Start

Debian keeps the configuration outside of the data, so it is not in the backup. These are enough to get at the data:

    [ -e restored/postgresql.conf ] || touch restored/postgresql.conf
    [ -e restored/pg_ident.conf ] || touch restored/pg_ident.conf
    [ -e restored/pg_hba.conf ] || echo 'local all all peer' > restored/pg_hba.conf
    rm -f restored/standby.signal restored/recovery.signal

Keep `restored/backup_label`: without it the server would begin at the wrong place. The options keep the cluster apart
from the one that it was made from:

    pg_ctl -D restored -l restored.log -w -o "-p 5433 -k /tmp {options}" start
    psql -h /tmp -p 5433 -d postgres -c 'SELECT pg_is_in_recovery()'

It is ready when the answer is `f`. To go further than the end of the backup never use `wal-g wal-fetch` as
restore_command by itself: PostgreSQL takes its every failure for the end of the archive, and opens without the rest.
"""
_OPTIONS = (
    "-c listen_addresses=127.0.0.1 -c archive_mode=off -c data_directory='$PWD/restored' "
    "-c hba_file='$PWD/restored/pg_hba.conf' -c ident_file='$PWD/restored/pg_ident.conf'"
)


def walg_restore_commands(*, major: int, payload: str, walg: t.Mapping[str, t.Any], segments: t.Sequence[str]) -> str:
    """Markdown that makes a running cluster of the backup. *segments* are the names of the WAL that it needs."""
    name = str(walg["backup_name"])
    delta = f", a delta on `{walg['delta_from']}` (WAL-G fetches all that it needs)" if walg.get("delta_from") else ""
    return _TEXT.format(
        storage=walg["storage"],
        name=name,
        quoted=shlex.quote(name),
        delta=delta,
        major=major,
        fetch=f"{{fetch:{payload}}}",
        account=become_postgres(major=major),
        config=walg.get("config") or "given by the environment",
        segments="\n".join(f"    wal-g --config walg.json wal-fetch {one} restored/pg_wal/{one}" for one in segments),
        options=_OPTIONS,
    )
