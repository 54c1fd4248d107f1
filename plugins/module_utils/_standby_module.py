# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the modules about standbys and failovers to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._argspec import postgresql_connection_option
from ._engine.core.errors import RequestInvalid
from ._engine.postgresql.administrator import administrator_session
from ._engine.postgresql.connection import PostgresConnection
from ._engine.postgresql.fence import FenceRequest, fence_server
from ._engine.postgresql.following import NewPrimary, follow
from ._engine.postgresql.promotion import Promotion, promote, prove_writes
from ._engine.postgresql.standby_state import look_at_standby
from ._module import as_change

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def changing_options() -> dict[str, t.Any]:
    """Who is reached, and who may change it: documented in the fragments ``_postgresql`` and ``_standby``."""
    return {
        **postgresql_connection_option(),
        "administrator": postgresql_connection_option()["connection"],
        "account": {"type": "str", "default": "postgres"},
        "system_identifier": {"type": "str", "required": True},
        "timeline": {"type": "int", "required": True},
        "timeout": {"type": "int", "default": 60},
    }


def standby_info(options: Options, *, host: Host) -> dict[str, t.Any]:
    """What one server says of itself."""
    state = look_at_standby(PostgresConnection.from_description(options["connection"]), host=host)
    return {"changed": False, "state": state.as_dict()}


def promote_standby(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Promote it and write to it."""
    promotion = Promotion(
        system_identifier=options["system_identifier"], timeline=options["timeline"], timeout=float(options["timeout"])
    )
    jobs = PostgresConnection.from_description(options["connection"])
    with administrator_session(options["administrator"], jobs=jobs, account=options["account"], host=host) as session:
        promoted = promote(session, promotion, host=host, check=check)
        written = None if check else prove_writes(session, timeline=promoted.timeline)
    for sentence in promoted.warnings:
        host.journal.warning(sentence)
    return {
        "changed": promoted.changed,
        "diff": as_change(f"standby on timeline {promotion.timeline}", "primary", changed=promoted.changed),
        "promoted": promoted.as_dict(),
        "written": written,
    }


def fence_old_primary(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Stop it for good."""
    request = FenceRequest(
        data_directory=options["data_directory"],
        system_identifier=options["system_identifier"],
        timeline=options["timeline"],
        received=options.get("received"),
        service_control=options.get("service_control") or {},
        port=options["port"],
        bin_directory=options.get("bin_directory") or "",
        timeout=float(options["timeout"]),
    )
    fenced = fence_server(request, host=host, check=check)
    for sentence in fenced.warnings:
        host.journal.warning(sentence)
    before = "runs" if fenced.was_running else f"stopped ({fenced.cluster_state})"
    return {
        "changed": fenced.changed,
        "diff": as_change(before, "stopped, a standby when it is started", changed=fenced.changed),
        "fenced": fenced.as_dict(),
    }


def follow_new_primary(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Have a standby follow another primary."""
    given = options["primary"]
    address = str(given.get("host") or "")
    if not address or address.startswith("/"):
        raise RequestInvalid(
            f"A standby can't reach its primary at {address or 'an address that nobody gave'}.",
            hint="Give the promoted standby's connection a host name or an address, not the folder of a socket.",
        )
    primary = NewPrimary(
        host=address,
        port=int(given.get("port") or 5432),
        system_identifier=options["system_identifier"],
        timeline=options["timeline"],
        switched=options.get("switched"),
        connection=PostgresConnection.from_description(given),
    )
    jobs = PostgresConnection.from_description(options["connection"])
    with administrator_session(options["administrator"], jobs=jobs, account=options["account"], host=host) as session:
        followed = follow(session, primary, timeout=float(options["timeout"]), host=host, check=check)
    return {
        "changed": followed.changed,
        "diff": as_change("follows another primary", f"follows {address}:{primary.port}", changed=followed.changed),
        "followed": followed.as_dict(),
    }
