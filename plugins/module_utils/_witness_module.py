# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module that takes leases to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.failover.lease_taking import TakeRequest, look_at_lease, take_lease
from ._engine.failover.witness import Witness
from ._module import as_change
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def take_described_lease(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """It is taken and waited for; in check mode it is looked at."""
    storages = storages_of(options["repositories"], host=host, hasty=True)
    if len(storages) != 1:
        raise RequestInvalid(
            f"A lease is in one repository, and {len(storages)} are given.", hint="Give the one of the witness."
        )
    ((repository, storage),) = storages.items()
    witness = Witness(repository=repository, storage=storage, service=options["service"], source=options["source"])
    request = TakeRequest(run=options["run"], host=options["host"], lease=float(options["lease"]))
    label = f"the lease of {witness.label}"
    if check:
        said = look_at_lease(request, witness=witness)
        diff = as_change(f"{label} is {said.state} by {said.host}", f"{label} is taken", changed=True)
        return {"changed": True, "diff": diff, "taken": None}
    taken = take_lease(request, witness=witness, clock=host.clock)
    diff = as_change(f"{label} is held by {taken.host}", f"{label} is {taken.state}", changed=True)
    return {"changed": True, "diff": diff, "taken": taken.as_dict()}
