# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module that makes standbys to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.catalog.catalog import Selection
from ._engine.core.errors import RequestInvalid
from ._engine.operations.catalog_requests import repository_requests, selection_from
from ._engine.operations.choosing import NEWEST_VERIFIED
from ._engine.operations.description_requests import identity_from
from ._engine.operations.restore_values import RestoreRequest
from ._engine.operations.standby_archive import ArchivedWal
from ._engine.operations.standby_seed import RepositorySeed
from ._engine.postgresql.connection import PostgresConnection
from ._engine.postgresql.standby_configuration import StandbyConfiguration, WalArchiveWay, slot_name
from ._engine.postgresql.standby_making import StandbyMade, StandbyRequest, make_standby

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def make_or_rejoin(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Make the standby, or say in check mode what would be done."""
    folder = options["data_directory"]
    configuration = StandbyConfiguration(
        name=options["name"],
        slot=options.get("slot") or slot_name(options["name"]),
        passfile=options.get("passfile") or f"{folder}.pgpass",
        archive=WalArchiveWay(
            script=options["wal_script"],
            cache=options.get("wal_cache") or f"{folder}.wal",
            fetch=tuple(options["wal_fetch"]),
        )
        if options["wal_fetch"] or options.get("wal_cache")
        else None,
        settings={name: _text(value) for name, value in options["settings"].items()},
    )
    request = StandbyRequest(
        data_directory=folder,
        primary=PostgresConnection.from_description(options["primary"]),
        connection=PostgresConnection.from_description(options["connection"]),
        configuration=configuration,
        rejoin=options["rejoin"],
        accept_data_loss=options["accept_data_loss"],
        service_control=options.get("service_control") or {},
        bin_directory=options.get("bin_directory") or "",
        timeout=float(options["timeout"]),
    )
    made = make_standby(
        request,
        host=host,
        seed=_seed(options, host=host),
        archived=_archived(options, host=host),
        check=check,
    )
    for sentence in made.warnings:
        host.journal.warning(sentence)
    return {"changed": made.changed, "diff": _diff(made), "standby": made.as_dict()}


def _seed(options: Options, *, host: Host) -> RepositorySeed | None:
    if options["seed"] != "repository":
        return None
    if not options["repositories"]:
        raise RequestInvalid("seed: repository has no repositories.", hint="Name them: repositories.")
    selection: Selection = selection_from({**options, "engine": "postgresql", "kind": "base"})
    request = RestoreRequest(
        repositories=repository_requests(options["repositories"]),
        selection=selection,
        options={},
        point=options.get("point", NEWEST_VERIFIED),
        identity=identity_from(options.get("decryption")),
        allow_failed=options["allow_failed"],
        state_directory=options["state_directory"],
        lock_timeout=float(options["lock_timeout"]),
    )
    return RepositorySeed(
        request,
        bin_directory=options.get("bin_directory") or "",
        host=host,
        service_control=options.get("service_control"),
    )


def _archived(options: Options, *, host: Host) -> ArchivedWal | None:
    service, source = options.get("service"), options.get("source")
    if not (options["repositories"] and service and source):
        return None
    repositories = repository_requests(options["repositories"])
    return ArchivedWal(repositories, service=service, source=source, host=host)


def _text(value: t.Any) -> str:
    """As PostgreSQL writes it: YAML makes truths of on and off."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _diff(made: StandbyMade) -> dict[str, str]:
    if not made.changed:
        return {"before": "", "after": ""}
    lost = made.only_here
    here = f"only here: {lost.count} commits, {lost.first} to {lost.last}\n" if lost is not None and lost.count else ""
    return {"before": f"{made.why}\n{here}", "after": "".join(f"{step}\n" for step in made.steps)}
