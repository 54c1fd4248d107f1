# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module about readiness to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import LifeboatError, StorageNotFound
from ._engine.failover.witness import Witness
from ._engine.readiness.seeing import Wishes, see
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host
    from ._engine.storage.base import Storage

Options = t.Mapping[str, t.Any]


def look_around(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """What this host sees. In check mode nothing is written, so whether repositories can be written is not known."""
    storages = storages_of(options.get("repositories"), host=host)
    wishes = Wishes(
        service=options["service"],
        write=options["write"] and not check,
        catalog=options["catalog"],
        connection=options["connection"] or None,
        paths=tuple(options["paths"]),
        command=options.get("command"),
        names=tuple(options["names"]),
        servers=tuple(options["resolvers"]),
    )
    leases = [_lease(one, options["service"], storages, host=host) for one in options["leases"]]
    return {"changed": False, "seen": {**see(wishes, storages=storages, host=host), "leases": leases}}


def _lease(wanted: Options, service: str, storages: t.Mapping[str, Storage], *, host: Host) -> dict[str, t.Any]:
    """How long ago the server of a source said anything of its lease, and what."""
    told = {**wanted, "state": None, "age_seconds": None, "problem": None}
    storage = storages.get(wanted["repository"])
    if storage is None:
        return {**told, "problem": "the repository was not given"}
    witness = Witness(repository=wanted["repository"], storage=storage, service=service, source=wanted["source"])
    try:
        said = witness.said(wanted["host"])
        if said is None:
            return told
        return {**told, "state": said.state, "age_seconds": int(witness.age(wanted["host"], now=host.clock.now()))}
    except StorageNotFound:
        return told
    except LifeboatError as error:
        return {**told, "problem": error.message}
