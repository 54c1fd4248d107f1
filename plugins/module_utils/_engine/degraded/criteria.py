# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether degraded mode may be left: each criterion asked on this host, and answered with a sentence."""

from __future__ import annotations

import http.client
import os
import shlex
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass

from ..core.clock import parse_time
from ..core.description.duration import parse_duration
from ..core.errors import LifeboatError, RequestInvalid
from ..core.host import Host
from ..notify.http_call import unreachable
from ..postgresql.connection import PostgresConnection
from ..postgresql.questions import asking as asking_postgresql
from ..postgresql.standby_state import look_at_standby
from ..recovery.questions import question_from
from ..redis.asking import asking as asking_redis

Json = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Answer:
    """Whether it is so, and why not."""

    name: str
    met: bool
    said: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"name": self.name, "met": self.met, "said": self.said}


def ask_criterion(criterion: Json, *, host: Host) -> Answer:
    """*criterion* has a ``kind`` and its ``options``. What can't be asked is not met."""
    name, kind, options = str(criterion["name"]), str(criterion["kind"]), criterion["options"]
    try:
        met, said = _ASK[kind](options, host)
    except KeyError:
        raise RequestInvalid(
            f"There is no criterion of the kind {kind!r}.", hint="See docs/degraded-mode.md."
        ) from None
    except LifeboatError as error:
        met, said = False, error.message
    return Answer(name=name, met=met, said=said)


def _health(options: Json, host: Host) -> tuple[bool, str]:
    if options.get("command"):
        done = host.runner.run(shlex.split(str(options["command"])), timeout=60.0, check=False)
        return done.status == 0, f"{options['command']} ended with {done.status}"
    wanted = int(options.get("status") or 200)
    found = _status_of(str(options["url"]), timeout=float(options.get("timeout") or 10))
    return found == wanted, f"{options['url']} answers {found}" + ("" if found == wanted else f", not {wanted}")


def _status_of(url: str, *, timeout: float) -> int:
    try:
        with urllib.request.build_opener().open(url, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(url, error, timeout=timeout) from None


def _question(options: Json, host: Host) -> tuple[bool, str]:
    question = question_from(options["ask"])
    asking = asking_redis if options["engine"] == "redis" else asking_postgresql
    with asking(options["connection"], host.runner) as ask:
        check = question.judge(ask(question), references={})
    return check.state == "passed", check.message


def _load(options: Json, _host: Host) -> tuple[bool, str]:
    five = os.getloadavg()[1] / (os.cpu_count() or 1)
    return five <= float(options["per_processor"]), f"the load is {five:.2f} for each processor"


def _lag(options: Json, host: Host) -> tuple[bool, str]:
    primary = look_at_standby(PostgresConnection.from_description(options["primary"]), host=host).as_dict()
    state = look_at_standby(PostgresConnection.from_description(options["connection"]), host=host).as_dict()
    if not state["in_recovery"]:
        return False, f"{options['standby']} is a primary"
    if not state["receiving"]:
        return False, f"{options['standby']} does not receive from its primary"
    if state["replayed"] == primary["written"]:
        return True, f"{options['standby']} has all"
    if not state["last_commit"]:
        return False, f"nobody knows how far {options['standby']} is behind"
    seconds = (host.clock.now() - parse_time(str(state["last_commit"]))).total_seconds()
    most = parse_duration(str(options["max_lag"])).total_seconds()
    return seconds <= most, f"the newest commit of {options['standby']} is {seconds:.0f} s old, and it lacks some"


_ASK: t.Mapping[str, t.Callable[[Json, Host], tuple[bool, str]]] = {
    "health": _health,
    "application": _health,
    "question": _question,
    "load": _load,
    "lag": _lag,
}
