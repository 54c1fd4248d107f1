# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a server that is cut off from everything outside of its folder."""

from __future__ import annotations

import os
import typing as t

PORT = 5432  # of the socket's name: nothing is taken from the machine by it
_MIB = 1024 * 1024


def isolated_settings(
    *, data_directory: str, socket_directory: str, configuration: str, major: int, memory_limit: int
) -> dict[str, str]:
    """The settings of a server that touches nothing outside of its folder; *memory_limit* is in bytes (0: small)."""
    buffers = max(16, min(128, memory_limit // 8 // _MIB))
    work = max(16, min(512, memory_limit // 4 // _MIB))
    values = {
        "data_directory": data_directory,
        "hba_file": os.path.join(configuration, "pg_hba.conf"),
        "ident_file": os.path.join(configuration, "pg_ident.conf"),
        "listen_addresses": "",
        "unix_socket_directories": socket_directory,
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "max_connections": "30",
        "shared_buffers": f"{buffers}MB",
        "maintenance_work_mem": f"{work}MB",
        "huge_pages": "off",
        "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing in /dev/shm
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "archive_mode": "off",
        "primary_conninfo": "",
        "shared_preload_libraries": "",  # pg_cron and its like work from here
        "session_preload_libraries": "",
        "local_preload_libraries": "",
        "max_logical_replication_workers": "0",  # no subscription pulls from its publisher
        "autovacuum": "off",
        "fsync": "off",  # the copy is thrown away; the host's disks have other work
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "jit": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        "lc_messages": "C",
        "log_min_messages": "warning",
        "cluster_name": "lifeboat scratch",
    }
    if major >= 17:
        values["event_triggers"] = "off"  # since 17 they fire at log-in too; before, only when the structure changes
    return values


def settings_text(values: t.Mapping[str, str]) -> str:
    """The lines of a postgresql.conf."""
    lines = []
    for name, value in values.items():
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'\n")
    return "".join(lines)
