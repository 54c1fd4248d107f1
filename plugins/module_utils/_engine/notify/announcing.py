# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling people that a service moves: each once in a failover, by channels of which none can stop it.

What was told is noted in the repositories beside the failover's ledger as soon as it was sent, so that whoever goes on
with the failover tells nobody twice. What is sent again all the same, after a death between the two, has the same id.
"""

from __future__ import annotations

import functools
import hashlib
import json
import typing as t
from dataclasses import dataclass, replace

from ..core.clock import format_time
from ..core.errors import LifeboatError, StorageExists, StorageNotFound
from ..core.host import Host
from ..core.parallel import at_the_same_time
from ..storage.base import Storage
from .channels import WEBHOOKS, Channel
from .delivery import send_one
from .texts import spoken_notice
from .values import Json, Notice

TOLD, BEFORE, FAILED, NOT_SENT = "told", "told before", "failed", "not sent"
EVENT = "announcement"
_LARGEST = 64 * 1024


@dataclass(frozen=True)
class Announcement:
    """What one audience is told by one channel. *occasion* is one of several times that the event happens in a run."""

    service: str
    run: str
    event: str
    audience: str
    channel: Channel
    severity: str
    title: str
    text: str
    occasion: str = ""

    @property
    def sha256(self) -> str:
        """Of title and text."""
        return hashlib.sha256(f"{self.title}\n\n{self.text}".encode()).hexdigest()

    @property
    def notice_id(self) -> str:
        """The same whenever it is sent, so that receivers can tell."""
        parts = (self.service, self.run, self.event, self.audience, self.channel.name, *filter(None, [self.occasion]))
        return f"announced-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]}"

    @property
    def key(self) -> str:
        """Where it is noted that it was told."""
        parts = (self.event, self.occasion, self.audience, self.channel.name, "json")
        name = ".".join(part for part in parts if part)
        return f"{self.service}/.failover/{self.run}/announced/{name}"


def announce(
    wanted: t.Sequence[Announcement], *, storages: t.Mapping[str, Storage], facts: Json, check: bool, host: Host
) -> list[dict[str, t.Any]]:
    """Tell them, all channels at the same time; what became of each, in the order of *wanted*. Never raises for a
    channel or a repository. With *check* nothing is sent.
    """
    if check:
        return [_told(one, NOT_SENT) for one in wanted]
    steps = [functools.partial(_announce, one, storages=storages, facts=facts, host=host) for one in wanted]
    return [one.result() for one in at_the_same_time(steps)]


def _announce(one: Announcement, *, storages: t.Mapping[str, Storage], facts: Json, host: Host) -> dict[str, t.Any]:
    noted = _noted(one, storages) if one.run else None
    if noted is not None:
        return {**_told(one, BEFORE), "at": noted.get("at"), "sha256": noted.get("sha256", one.sha256)}
    try:
        send_one(one.channel, _notice(one, facts=facts, host=host), host=host)
    except LifeboatError as error:
        if not error.details.get("delivered"):
            return {**_told(one, FAILED), "error": error.message, "hint": error.hint, "code": error.code}
    told = {**_told(one, TOLD), "at": format_time(host.clock.now().replace(microsecond=0))}
    if one.run:
        _note(one, told, storages)
    return told


def _notice(one: Announcement, *, facts: Json, host: Host) -> Notice:
    event = "notify_users" if one.channel.kind == WEBHOOKS else EVENT
    more = {"audience": one.audience, "announced": one.event, "run": one.run}
    notice = spoken_notice(
        event,
        service=one.service,
        title=one.title,
        text=one.text,
        facts={**facts, **more},
        now=host.clock.now(),
        host=host.name,
    )
    words = {"id": one.notice_id, "severity": one.severity, "topic": EVENT, "state": one.event}
    return replace(
        notice,
        notice_id=one.notice_id,
        severity=one.severity,
        topic=EVENT,
        state=one.event,
        values={**notice.values, **words},
    )


def _noted(one: Announcement, storages: t.Mapping[str, Storage]) -> Json | None:
    """What a repository says of its having been told; None when none that answers does."""
    for storage in storages.values():
        try:
            document = json.loads(storage.get(one.key, limit=_LARGEST).decode("utf-8"))
        except StorageNotFound:
            continue
        except LifeboatError:
            continue
        except ValueError:
            return {}  # it was told, and what was noted is damaged
        return document if isinstance(document, dict) else {}
    return None


def _note(one: Announcement, told: Json, storages: t.Mapping[str, Storage]) -> None:
    data = (json.dumps({"format": "lifeboat-announcement", **told}, indent=1, sort_keys=True) + "\n").encode("utf-8")
    for storage in storages.values():
        try:
            storage.put(one.key, data)
        except StorageExists:
            continue
        except LifeboatError:
            continue  # the ledger says which repository does not answer


def _told(one: Announcement, state: str) -> dict[str, t.Any]:
    return {
        "audience": one.audience,
        "channel": one.channel.name,
        "event": one.event,
        "title": one.title,
        "sha256": one.sha256,
        "state": state,
        "at": None,
        "error": None,
    }
