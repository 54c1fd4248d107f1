# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking all servers until they agree, or the time is out."""

from __future__ import annotations

import functools
import typing as t

from ..core.clock import Clock
from ..core.errors import DnsNotAgreed, RequestInvalid
from ..core.parallel import at_the_same_time
from .answer import Agreement, Answer, Asked, require_type
from .asking import Asker
from .record import Record
from .servers import RESOLVER, Server

#: Seconds between two rounds: short at first, since most servers agree within moments.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
#: A server that says nothing for so many rounds is not waited for where that is allowed.
_ROUNDS_OF_SILENCE = 3


def ask_once(record: Record, servers: t.Sequence[Server], *, asker: Asker) -> list[Answer]:
    """What each says now, in the order of *servers*."""
    questions = [functools.partial(asker.ask, server, record) for server in servers]
    return [one.result() for one in at_the_same_time(questions)]


def wait_for_agreement(
    record: Record, servers: t.Sequence[Server], *, asker: Asker, clock: Clock, timeout: float, strict: bool = True
) -> Agreement:
    """Ask until all give the same answer in one round, for *timeout* seconds at most; 0 asks once.

    Unless it is *strict*, those that say nothing are not waited for: a name server is lost with its region. What came
    of it stands in the result, also when they don't agree. Raises DnsOtherType at once when the name has another type,
    and RequestInvalid when there is nobody to ask.
    """
    if not servers:
        raise RequestInvalid("There is no server to ask.", hint="Describe nameservers or resolvers.")
    began = clock.monotonic()
    agreed_after: list[float | None] = [None] * len(servers)
    pause, rounds = _FIRST_PAUSE, 0
    while True:
        answers = ask_once(record, servers, asker=asker)
        rounds += 1
        require_type(answers, record)
        elapsed = round(clock.monotonic() - began, 3)
        for position, answer in enumerate(answers):
            if not answer.agrees(record):
                agreed_after[position] = None
            elif agreed_after[position] is None:
                agreed_after[position] = elapsed
        asked = tuple(Asked(answer, after) for answer, after in zip(answers, agreed_after))
        found = Agreement(record=record, asked=asked, seconds=elapsed, rounds=rounds)
        enough = found.agreed or (not strict and found.settled and rounds >= _ROUNDS_OF_SILENCE)
        if enough or elapsed + pause > timeout:
            return found
        clock.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def require_agreement(found: Agreement, *, strict: bool = True) -> None:
    """Raises DnsNotAgreed with what each one says that does not agree.

    Unless it is *strict*, it is enough that those agree that know the zone and answer.
    """
    if found.agreed if strict else found.proven:
        return
    lagging = "; ".join(found.as_dict()["lagging"])
    left = [one.ttl for one in found.dissenting if one.ttl is not None and one.server.role == RESOLVER]
    wait = f"Resolvers ask anew in {max(left)} s at the latest; then run it again." if left else ""
    wanted = ", ".join(found.record.wanted.values)
    raise DnsNotAgreed(
        f"After {found.seconds:.0f} s not all say that {found.record.shown} is {wanted}: {lagging}.",
        hint=wait or f"Run: dig @SERVER {found.record.name[:-1]} {found.record.type}",
        details=found.as_dict(),
    )
