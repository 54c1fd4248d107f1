# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter of the playbooks of failovers: the evidence as a file, for programs or for people."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from ..module_utils._engine.core.clock import Clock

Json = t.Mapping[str, t.Any]


def evidence_file(recorded: Json, path: str, *, clock: Clock | None = None) -> str:
    """What goes to *path*: a page when it ends in ``.html``, else JSON. *recorded* is the result of failover_ledger."""
    if not str(path).lower().endswith((".html", ".htm")):
        return json.dumps(recorded["evidence"], indent=4, sort_keys=True)
    from ..module_utils._engine.core.clock import SystemClock
    from ..module_utils._engine.failover.copies import LedgerCopy
    from ..module_utils._engine.failover.entry import parse_entry
    from ..module_utils._engine.failover.proof import examine
    from ..module_utils._engine.failover.record import record
    from ..module_utils._engine.report.evidence_page import evidence_page

    ledger = recorded["ledger"]
    entries = tuple(
        parse_entry(
            (json.dumps(one, indent=1, sort_keys=True) + "\n").encode("utf-8"),
            key=f"{one['service']}/.failover/{one['run']}/{int(one['number']):04d}.json",
        )
        for one in ledger["entries"]
    )
    now = (clock or SystemClock()).now()
    # The module has held the repositories to each other before it wrote the last entry.
    copies = [LedgerCopy(repository=str(name), entries=entries) for name in ledger["repositories"]]
    proof = examine(copies, service=str(ledger["service"]), run=str(ledger["run"]), now=now)
    return evidence_page(record(proof.entries), proof.as_dict(), now=now)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"evidence_file": evidence_file}
