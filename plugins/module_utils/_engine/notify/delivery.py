# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending what waits. A channel that is down is left alone for a while, longer each time; nothing here fails a run."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, replace

from ..core.errors import ChannelRefused, LifeboatError
from ..core.host import Host
from .by_apprise import send_by_apprise
from .channels import APPRISE, MAIL, PING, WEBHOOK, WEBHOOKS, Channel
from .mail import send_mail
from .spool import LONGEST_PAUSE, Delivery, Spool, Standing, Waiting
from .values import Json, Notice
from .webhooks import ping, ping_suffix, send_document, send_to_endpoint

#: A run goes on after so long; what is left is sent by the next one.
BUDGET_SECONDS = 30.0
#: What was refused for so long is given up, and counted.
GIVEN_UP_AFTER = datetime.timedelta(days=7)

_SENDERS: t.Mapping[str, t.Callable[..., None]] = {
    WEBHOOKS: send_to_endpoint,
    WEBHOOK: send_document,
    MAIL: send_mail,
    APPRISE: send_by_apprise,
    PING: ping,
}


@dataclass(frozen=True)
class Sent:
    """What became of it: how many were delivered, how many wait still, and which channels are in trouble why."""

    delivered: int = 0
    waiting: int = 0
    errors: t.Mapping[str, LifeboatError] | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "delivered": self.delivered,
            "waiting": self.waiting,
            "errors": {key: error.as_dict() for key, error in (self.errors or {}).items()},
        }


def send_one(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Send one notice now. Raises LifeboatError, whatever went wrong."""
    try:
        _SENDERS[channel.kind](channel, notice, host=host)
    except LifeboatError:
        raise
    except Exception as error:  # noqa: BLE001 telling is a favour: whatever it meets, no run fails by it
        # Not its message: a library's may quote an address.
        raise ChannelRefused(
            f"Telling failed in a way that nobody thought of: {type(error).__name__}.",
            hint="Please report it, with what is special about the channel.",
        ) from None


def send_waiting(channels: t.Sequence[Channel], spool: Spool, *, host: Host) -> Sent:
    """Send what waits, as far as it is time and within BUDGET_SECONDS. Raises StateDirectoryUnusable."""
    with spool.held("send", timeout=0.0) as is_ours:
        if not is_ours:  # whoever sends just now takes it along, or the next run does
            return Sent(waiting=len(spool.waiting()))
        return _Round(channels, spool, host=host).send()


def tell_started(channels: t.Sequence[Channel], values: Json, *, spool: Spool, host: Host) -> None:
    """Call the dead-man switches that want to know of a beginning. Tried once: later it would be a lie."""
    now = host.clock.now()
    for channel in channels:
        standing = spool.standing(channel.key)
        if _is_later(standing.not_before, now):
            continue
        try:
            ping_suffix(channel, values, str(channel.options["start"]), host=host)
        except LifeboatError as error:
            spool.put_standing(standing.down(error.as_dict(), now=now))


class _Round:
    def __init__(self, channels: t.Sequence[Channel], spool: Spool, *, host: Host) -> None:
        self._channels = {one.key: one for one in channels}
        self._spool = spool
        self._host = host
        self._deadline = host.clock.monotonic() + BUDGET_SECONDS
        self._standings: dict[str, Standing] = {}
        self._errors: dict[str, LifeboatError] = {}
        self._delivered = 0

    def send(self) -> Sent:
        for waiting in self._spool.waiting():
            left = dict(waiting.deliveries)
            for key, delivery in waiting.deliveries.items():
                # A channel that the description does not have any more has nobody who waits for it.
                after = self._deliver(waiting.notice, key, delivery) if key in self._channels else None
                if after == delivery:
                    continue
                if after is None:
                    del left[key]
                else:
                    left[key] = after
                # At once: whoever dies now repeats this one at most.
                self._spool.put(Waiting(waiting.notice, left))
        return Sent(delivered=self._delivered, waiting=len(self._spool.waiting()), errors=self._errors)

    def _deliver(self, notice: Notice, key: str, delivery: Delivery) -> Delivery | None:
        """What is left to do for that channel: None when it has it, or never will."""
        now = self._host.clock.now()
        standing = self._standing(key)
        is_late = self._host.clock.monotonic() >= self._deadline
        if is_late or _is_later(standing.not_before, now) or _is_later(delivery.not_before, now):
            return delivery
        try:
            send_one(self._channels[key], notice, host=self._host)
        except ChannelRefused as error:
            self._errors[key] = error
            return self._refused(notice, standing, delivery, error)
        except LifeboatError as error:
            self._errors[key] = error
            self._put(standing.down(error.as_dict(), now=now))
            return delivery
        self._delivered += 1
        if standing.down_since is not None or self._is_old(standing, now):
            self._put(standing.well(now=now))
        return None

    def _refused(
        self, notice: Notice, standing: Standing, delivery: Delivery, error: ChannelRefused
    ) -> Delivery | None:
        """The channel answers, and what comes next may be to its liking: it is not left alone."""
        now = self._host.clock.now()
        troubled = replace(standing.down(error.as_dict(), now=now), not_before=None)
        if error.details.get("delivered"):
            self._delivered += 1
            self._put(troubled)
            return None
        if now - notice.at >= GIVEN_UP_AFTER:
            self._put(replace(troubled, given_up=standing.given_up + 1))
            return None
        self._put(troubled)
        return delivery.refused(error.as_dict(), now=now)

    def _standing(self, key: str) -> Standing:
        if key not in self._standings:
            self._standings[key] = self._spool.standing(key)
        return self._standings[key]

    def _put(self, standing: Standing) -> None:
        self._standings[standing.key] = standing
        self._spool.put_standing(standing)

    @staticmethod
    def _is_old(standing: Standing, now: datetime.datetime) -> bool:
        return standing.last_success is None or abs(now - standing.last_success) > datetime.timedelta(minutes=1)


def _is_later(moment: datetime.datetime | None, now: datetime.datetime) -> bool:
    # What is further ahead than any pause comes from a clock that was set back since.
    return moment is not None and now < moment <= now + LONGEST_PAUSE
