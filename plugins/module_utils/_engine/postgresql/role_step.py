# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of a restore that makes the roles which the target lacks."""

from __future__ import annotations

from ..core.progress import Progress
from ..recovery.payload_source import PayloadSource
from ..recovery.steps import Facts, Step
from .logical_target import TargetServer
from .roles import create_missing, drop_roles, noted_roles

MAKE_ROLES = "make missing roles"


def role_step(server: TargetServer, source: PayloadSource, *, progress: Progress) -> Step:
    """Make the roles that the server lacks; undone, they are gone again."""

    def plan() -> Facts:
        with server.session() as session:
            return {"made": server.missing_roles(session, source)}

    def make(facts: Facts) -> None:
        with server.session() as session:
            create_missing(session, noted_roles(source, progress=progress), wanted=set(facts["made"]))

    def drop(facts: Facts) -> None:
        with server.session() as session:
            drop_roles(session, facts.get("made", []))

    return Step(
        name=MAKE_ROLES,
        title="Make the roles that the server lacks",
        plan=plan,
        do=make,
        undo=drop,
    )
