# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does by its clock, as tables of Debian's cron: one file for each service.

Traps of cron, each met here: a file with a dot in its name is never read; ``%`` ends the command; output becomes mail;
the time zone is the host's, whatever the file says; what was missed while the host was down is never called.
"""

from __future__ import annotations

import hashlib
import shlex

from ..core.description.schedule_zones import local_times
from ..operations.host_schedule import HostSchedule, ScheduledCall, ServiceSchedule
from .host_run import HostRun

_HEAD = """\
# {service}: what Lifeboat does on this host, and when. Written by Ansible; what is changed here is lost.
SHELL=/bin/sh
PATH={path}
LC_ALL=C.UTF-8
MAILTO=""
"""
_TO_SYSLOG = "2>&1 | logger -t lifeboat"
PREFIX = "lifeboat-"


def cron_tables(schedule: HostSchedule, run: HostRun) -> dict[str, str]:
    """The files below ``/etc/cron.d`` by name. Raises ScheduleInvalid for a time zone that is not known."""
    return {table_name(service.service): _table(service, run) for service in schedule.services}


def table_name(service: str) -> str:
    """The name of the file of *service*: cron reads letters, digits, dashes and underscores only."""
    if "." not in service:
        return f"{PREFIX}{service}"
    # So that a.b and a-b have a file each.
    return f"{PREFIX}{service.replace('.', '-')}-{hashlib.sha256(service.encode('utf-8')).hexdigest()[:6]}"


def _table(service: ServiceSchedule, run: HostRun) -> str:
    parts = [_HEAD.format(service=service.service, path=run.path)]
    parts += [_lines(call, run) for call in service.calls if call.schedule is not None]
    missed = [call for call in service.calls if call.catches_up and call.schedule is not None]
    if missed:
        parts.append(_at_boot(missed, run))
    return "\n".join(parts)


def _lines(call: ScheduledCall, run: HostRun) -> str:
    if call.schedule is None:
        return ""
    local = local_times(call.schedule, host_timezone=run.host_timezone, year=run.year)
    note = "" if local.exact else f"\n# {run.host_timezone} here, so cron calls when it may be time for it"
    command = run.command(call) if local.exact else run.command(call, *call.by_due)
    pause = run.pause(call)
    waiting = f"sleep {pause}; " if pause else ""
    line = f"{local.expression}\t{run.user}\t{_escaped(f'{waiting}{command} {_TO_SYSLOG}')}"
    return f"# {call.title}{note}\n{line}\n"


def _at_boot(calls: list[ScheduledCall], run: HostRun) -> str:
    commands = "; ".join([f"sleep {run.boot_delay}", *(run.command(call, *call.by_due) for call in calls)])
    # One after the other, in a shell of its own: all of it goes to syslog. A line holds 999 characters at most.
    one = f"@reboot\t{run.user}\t{_escaped(f'sh -c {shlex.quote(commands)} {_TO_SYSLOG}')}"
    if len(one) < _LONGEST_LINE or len(calls) == 1:
        return f"# What was due while this host was down\n{one}\n"
    half = len(calls) // 2
    return "\n".join([_at_boot(calls[:half], run), _at_boot(calls[half:], run)])


def _escaped(command: str) -> str:
    return command.replace("%", "\\%")


_LONGEST_LINE = 900
