# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing a member: stopped by what keeps it stopped, so that it can't become primary, also not after a reboot.

A member that is only cut off would elect a primary as soon as it sees a majority of its old set.
"""

from __future__ import annotations

import dataclasses
import socket
import typing as t
from dataclasses import dataclass, field

from ..core.errors import LifeboatError, MongoFenceNotProven
from ..core.host import Host
from ..recovery.service_control import mask_unit, service_control_from
from .set_member import with_port

_POLL = 0.2


@dataclass(frozen=True)
class MongoFence:
    """Which member, by its address on this host; *service_control* is how it is stopped. *timeout* in seconds."""

    member: str
    service_control: t.Mapping[str, t.Any] = field(default_factory=dict)
    timeout: float = 60.0


@dataclass(frozen=True)
class MongoFenced:
    """The evidence: nothing answers at *member*, and with *masked* systemd does not start it any more."""

    changed: bool
    member: str
    was_running: bool
    masked: bool
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}


def fence_member(request: MongoFence, *, host: Host, check: bool = False) -> MongoFenced:
    """Stop it for good and prove it; doing it again finds it done. Raises MongoFenceNotProven."""
    member = with_port(request.member)
    control = service_control_from(request.service_control)
    if control is None:
        raise MongoFenceNotProven(
            f"Nothing is described that stops {member} and keeps it so.",
            hint="Describe service_control of the source, or fencing.command.",
        )
    running = answers(member)
    if check:
        return MongoFenced(changed=running, member=member, was_running=running, masked=False)
    warnings: list[str] = []
    masked = _mask(request, warnings, host=host)
    problem = ""
    if running:
        try:
            control.stop(runner=host.runner)
        except LifeboatError as error:
            problem = f" {error.message}"
    deadline = host.clock.monotonic() + request.timeout
    while answers(member):
        if problem or host.clock.monotonic() >= deadline:
            raise MongoFenceNotProven(
                f"Something still answers at {member}.{problem}",
                hint=f"Look at it on {host.name}: ps -C mongod -f   and stop what runs there.",
                details={"member": member},
            )
        host.clock.sleep(_POLL)
    return MongoFenced(changed=running, member=member, was_running=running, masked=masked, warnings=tuple(warnings))


def answers(member: str) -> bool:
    """Whether anything takes a connection there; an address that can't be reached counts as an answer."""
    name, port = member.rpartition(":")[::2]
    try:
        with socket.create_connection((name.strip("[]"), int(port)), timeout=5):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True


def _mask(request: MongoFence, warnings: list[str], *, host: Host) -> bool:
    unit = request.service_control.get("unit")
    if not unit:
        warnings.append(
            f"No unit is described for {with_port(request.member)}: whatever else starts it again makes it a member."
        )
        return False
    why = mask_unit(str(unit), runner=host.runner)
    if why is not None:
        raise MongoFenceNotProven(
            f"The unit {unit} can't be kept from starting again: {why}",
            hint=f"Run on {host.name}: systemctl disable --now {unit}   or describe fencing.command.",
            details={"unit": str(unit)},
        )
    return True
