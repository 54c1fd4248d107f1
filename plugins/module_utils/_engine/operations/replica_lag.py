# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the described standbys are behind: the only look at live servers that the metrics take, and a short one."""

from __future__ import annotations

import datetime
import threading
import typing as t
from dataclasses import dataclass

from ..core.description.description import Description
from ..core.description.duration import parse_duration
from ..core.description.model import Source
from ..core.errors import LifeboatError, ReplicaSilent
from ..core.host import Host
from ..core.replica_lag import ReplicaLag
from ..core.runner import Runner

#: Seconds for each connection and each answer, and for all that is asked about one standby.
_ANSWER = 3
_ALL = 10.0
#: How far a standby that Lifeboat makes may be behind, unless its max_lag says otherwise.
_USUAL = datetime.timedelta(seconds=5)
_TIMEOUTS: t.Mapping[str, str] = {
    "mongodb": "server_selection_timeout",
    "postgresql": "connect_timeout",
    "redis": "timeout",
}
Asked = t.Callable[[], ReplicaLag]


@dataclass(frozen=True)
class ReplicaFact:
    """One standby. *lag* is None with an *error* when it or its primary did not answer."""

    service: str
    source: str
    engine: str
    replica: str
    objective: datetime.timedelta | None
    lag: ReplicaLag | None
    error: LifeboatError | None = None

    @property
    def id(self) -> str:
        """``service/source/replica``, for messages."""
        return f"{self.service}/{self.source}/{self.replica}"


def read_replicas(description: Description, *, host: Host, within: float = _ALL) -> tuple[ReplicaFact, ...]:
    """Ask all described standbys at once; never raises what a server does, and never waits longer than *within*.

    A host that makes no backups connects to no database, and asks nothing.
    """
    if not description.settings.makes_backups:
        return ()
    looks = [
        (service.name, source, standby, _Look(_asked(source, standby, runner=host.runner)))
        for service in description.services
        for source in service.sources
        if source.engine in _TIMEOUTS
        for standby in source.standbys
    ]
    return tuple(_fact(service, source, standby, look, within=within) for service, source, standby, look in looks)


class _Look:
    """A question under way, in a thread that nobody waits for longer than said: a server may be frozen."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._lag: ReplicaLag | None = None
        self._error: LifeboatError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> tuple[ReplicaLag | None, LifeboatError | None]:
        self._thread.join(seconds)
        if self._lag is None and self._error is None:
            return None, ReplicaSilent(
                f"No answer within {seconds:g} seconds.", hint="See whether the standby and its primary run and answer."
            )
        return self._lag, self._error

    def _run(self) -> None:
        try:
            self._lag = self._asked()
        except LifeboatError as error:
            self._error = error


def _fact(service: str, source: Source, standby: t.Mapping[str, t.Any], look: _Look, *, within: float) -> ReplicaFact:
    lag, error = look.wait(within)
    return ReplicaFact(
        service=service,
        source=source.name,
        engine=source.engine,
        replica=str(standby["name"]),
        objective=_objective(source, standby),
        lag=lag,
        error=error,
    )


def _objective(source: Source, standby: t.Mapping[str, t.Any]) -> datetime.timedelta | None:
    """What it says itself; of one that Lifeboat makes it is never nothing."""
    if "max_lag" in standby:
        return parse_duration(standby["max_lag"])
    return _USUAL if source.engine == "postgresql" and standby.get("data_directory") else None


def _asked(source: Source, standby: t.Mapping[str, t.Any], *, runner: Runner) -> Asked:
    key = _TIMEOUTS[source.engine]
    primary, replica = (_quick(one, key) for one in (source.connection, standby["connection"]))
    # Each is imported when it is asked for: a host has the library of its own databases only.
    if source.engine == "postgresql":
        slot = str(standby.get("slot") or _slot_of(str(standby["name"])))
        return lambda: _postgresql(primary, replica, slot=slot, runner=runner)
    if source.engine == "redis":
        return lambda: _redis(primary, replica, runner=runner)
    name = str(standby["name"])
    own = replica if standby["connection"] else {}
    return lambda: _mongodb(primary, own, name=name, runner=runner)


def _quick(connection: t.Mapping[str, t.Any], key: str) -> dict[str, t.Any]:
    return {**connection, key: min(connection.get(key, _ANSWER), _ANSWER)}


def _slot_of(name: str) -> str:
    from ..postgresql.standby_configuration import slot_name

    return slot_name(name)


def _postgresql(
    primary: t.Mapping[str, t.Any], replica: t.Mapping[str, t.Any], *, slot: str, runner: Runner
) -> ReplicaLag:
    from ..postgresql.replica import replica_lag

    return replica_lag(primary, replica, timeout=_ANSWER, runner=runner, slot=slot)


def _redis(primary: t.Mapping[str, t.Any], replica: t.Mapping[str, t.Any], *, runner: Runner) -> ReplicaLag:
    from ..redis.replica import replica_lag

    return replica_lag(primary, replica, runner=runner)


def _mongodb(
    primary: t.Mapping[str, t.Any], replica: t.Mapping[str, t.Any], *, name: str, runner: Runner
) -> ReplicaLag:
    from ..mongodb.replica import replica_lag

    return replica_lag(primary, replica, name=name, runner=runner)
