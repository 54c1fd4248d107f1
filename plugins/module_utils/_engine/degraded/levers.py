# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a measure as the plan has it to the lever that takes it; and measures that only tell, or are only noted."""

from __future__ import annotations

import json
import shlex
import typing as t
from dataclasses import dataclass

from ..core.errors import RequestInvalid
from ..core.host import Host
from ..core.secrets import secret_from
from ..core.version import VERSION
from ..notify.http_call import call
from .databases import RedisLever, SettingsLever
from .environment_file import EnvironmentLever
from .measure import Lever
from .programs import CommandLever, Plain, ProgramLever, UnitLever

Json = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class WebhookLever(Plain):
    """Somebody is told, once for each way; the same key goes with a call that is made again."""

    options: Json
    mode: str
    name: str
    host: Host

    def read(self) -> None:
        """Nobody can be asked."""

    def is_on(self, now: t.Any) -> bool:
        """It is not known."""
        return False

    def is_back(self, now: t.Any, before: t.Any) -> bool:
        """It is not known."""
        return False

    def turn_on(self, before: t.Any) -> None:
        """Tell that it begins."""
        self._call("enter", active=True)

    def turn_back(self, before: t.Any) -> None:
        """Tell that it is over."""
        self._call("leave", active=False)

    def _call(self, way: str, *, active: bool) -> None:
        token = secret_from(self.options, "token").fetch(runner=self.host.runner)
        body = {**self.options["body"], "active": active, **(self.options.get(way) or {})}
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"lifeboat/{VERSION}",
            "Idempotency-Key": f"{self.mode}-{self.name}-{way}",
            **({"Authorization": f"Bearer {token}"} if token is not None else {}),
        }
        call(
            str(self.options["url"]),
            method="POST",
            body=json.dumps(body, ensure_ascii=False).encode("utf-8"),
            headers=headers,
            timeout=float(self.options.get("timeout") or 10),
            ca_file=self.options.get("ca_file"),
        )


@dataclass(frozen=True)
class PauseLever:
    """Jobs that are paused by the very note of the measure."""

    jobs: t.Sequence[str]

    def read(self) -> None:
        """The note says it."""

    def is_on(self, now: t.Any) -> bool:
        """The note says it."""
        return False

    def is_back(self, now: t.Any, before: t.Any) -> bool:
        """The note says it."""
        return False

    def turn_on(self, before: t.Any) -> None:
        """The note is all."""

    def turn_back(self, before: t.Any) -> None:
        """The note is all."""

    def settle(self) -> None:
        """Nothing follows."""

    def pauses(self) -> t.Sequence[str]:
        """These."""
        return tuple(self.jobs)


@dataclass(frozen=True)
class _Way:
    """What a lever needs besides its options."""

    name: str
    mode: str
    administrator: Json
    account: str
    host: Host


def lever_for(measure: Json, *, mode: str, administrator: Json, account: str, host: Host) -> Lever:
    """*measure* has a ``kind`` and its ``options``. Raises RequestInvalid for another kind."""
    make = _LEVERS.get(str(measure["kind"]))
    if make is None:
        raise RequestInvalid(f"There is no measure of the kind {measure['kind']!r}.", hint="See docs/degraded-mode.md.")
    way = _Way(name=str(measure["name"]), mode=mode, administrator=administrator, account=account, host=host)
    return make(measure["options"], way)


def _unit(options: Json, way: _Way) -> Lever:
    return UnitLever(unit=str(options["unit"]), wants=options["state"] == "started", runner=way.host.runner)


def _application(options: Json, way: _Way) -> Lever:
    if options.get("unit"):
        return _unit(options, way)
    return ProgramLever(
        start=str(options["start_command"]),
        stop=str(options["stop_command"]),
        check=options.get("check"),
        wants=options["state"] == "started",
        runner=way.host.runner,
    )


def _command(options: Json, way: _Way) -> Lever:
    return CommandLever(
        forth=options["enter"], back=options["leave"], check=options.get("check"), runner=way.host.runner
    )


def _webhook(options: Json, way: _Way) -> Lever:
    return WebhookLever(options=options, mode=way.mode, name=way.name, host=way.host)


def _env_file(options: Json, way: _Way) -> Lever:
    return EnvironmentLever(
        file=str(options["file"]),
        key=str(options["key"]),
        value=str(options["value"]),
        restart=_restarting(options.get("restart"), host=way.host),
    )


def _redis(options: Json, way: _Way) -> Lever:
    return RedisLever(
        connection=options["connection"],
        key=str(options["key"]),
        value=str(options["value"]),
        member=options.get("field"),
        database=int(options.get("database") or 0),
        host=way.host,
    )


def _postgresql(options: Json, way: _Way) -> Lever:
    return SettingsLever(
        connection=options["connection"],
        settings=options["settings"],
        role=options.get("role"),
        database=options.get("database"),
        administrator=way.administrator,
        account=way.account,
        host=way.host,
    )


def _pause_jobs(options: Json, _way: _Way) -> Lever:
    return PauseLever(jobs=options["jobs"])


def _restarting(application: Json | None, *, host: Host) -> t.Callable[[], None] | None:
    if not application:
        return None

    def restart() -> None:
        if application.get("unit"):
            host.runner.run(["systemctl", "restart", str(application["unit"])], timeout=120.0)
            return
        host.runner.run(shlex.split(str(application["stop_command"])), timeout=120.0, check=False)
        host.runner.run(shlex.split(str(application["start_command"])), timeout=120.0)

    return restart


_LEVERS: t.Mapping[str, t.Callable[[Json, _Way], Lever]] = {
    "application": _application,
    "unit": _unit,
    "command": _command,
    "webhook": _webhook,
    "redis": _redis,
    "env_file": _env_file,
    "postgresql": _postgresql,
    "pause_jobs": _pause_jobs,
}
