# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host does by its clock, as units of systemd with the same meaning as ``cron_table.py``."""

from __future__ import annotations

from ..core.description.schedule import UTC, Schedule, parse_schedule
from ..core.description.schedule_events import calendar_events
from ..core.description.schedule_zones import is_skipped_at_times, local_times
from ..operations.host_schedule import HostSchedule, ScheduledCall
from .host_run import HostRun

_HEAD = "# Written by Ansible; what is changed here is lost."
PREFIX = "lifeboat-"
# Started after a boot only when the databases are there, where they are on this host.
_AFTER = "network-online.target postgresql.service mongod.service redis-server.service redis.service"
_CLASSES = {0: "none", 1: "realtime", 2: "best-effort", 3: "idle"}


def systemd_units(schedule: HostSchedule, run: HostRun) -> dict[str, str]:
    """The files below ``/etc/systemd/system`` by name."""
    units: dict[str, str] = {}
    for service in schedule.services:
        for call in service.calls:
            units[f"{PREFIX}{call.name}.service"] = _service(call, run)
            if call.schedule is not None:
                units[f"{PREFIX}{call.name}.timer"] = _timer(call, timer_schedule(call.schedule, run))
    return units


def timer_schedule(schedule: Schedule, run: HostRun) -> Schedule:
    """When the timer comes: at the schedule's times, or at all that may be one where its zone leaves one out.

    A timer whose time the clocks leave out, such as 02:00 in Berlin on a day in March, comes a day later.
    """
    if not is_skipped_at_times(schedule, year=run.year):
        return schedule
    return parse_schedule(local_times(schedule, host_timezone=UTC, year=run.year).expression)


def _service(call: ScheduledCall, run: HostRun) -> str:
    pause = run.pause(call)
    exact = call.schedule is None or timer_schedule(call.schedule, run) == call.schedule
    words = run.words(call) if exact else run.words(call, *call.by_due)
    lines = [
        _HEAD,
        "[Unit]",
        f"Description=Lifeboat: {_escaped(call.title)}",
        "Wants=network-online.target",
        f"After={_AFTER}",
        "",
        "[Service]",
        "Type=oneshot" if call.schedule is not None else "Type=simple",
        f"User={run.user}",
        f'Environment="PATH={_escaped(run.path)}" LC_ALL=C.UTF-8',
        *([f"ExecStartPre=/bin/sleep {pause}"] if pause else []),
        f"ExecStart={' '.join(_quoted(word) for word in words)}",
        f"Nice={run.nice}",
        f"IOSchedulingClass={_CLASSES[run.io_class]}",
        *([f"IOSchedulingPriority={run.io_priority}"] if run.io_class in (1, 2) else []),
        "SyslogIdentifier=lifeboat",
    ]
    if call.schedule is None:
        lines += [f"# Runs {run.version}"] if run.version else []
        lines += ["Restart=always", "RestartSec=10", "", "[Install]", "WantedBy=multi-user.target"]
    return "\n".join([*lines, ""])


def _timer(call: ScheduledCall, schedule: Schedule) -> str:
    lines = [
        _HEAD,
        "[Unit]",
        f"Description=Lifeboat: {_escaped(call.title)}",
        "",
        "[Timer]",
        *(f"OnCalendar={event}" for event in calendar_events(schedule)),
        "AccuracySec=1s",
        f"Persistent={'true' if call.catches_up else 'false'}",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join([*lines, ""])


def _quoted(word: str) -> str:
    plain = _escaped(word).replace("$", "$$")
    if plain and not any(letter in plain for letter in " \t\"'\\;"):
        return plain
    inner = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
