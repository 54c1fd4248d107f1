# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat notify``: send what waits, look for what is overdue, try the channels, show what is open."""

from __future__ import annotations

import argparse
import typing as t

from .cli_status import report_of
from .core.clock import parse_time
from .core.description.description import Description
from .core.description.schema_notifications import EMERGENCY_EVENTS
from .core.errors import ChannelsFailed, ChannelUnknown, LifeboatError, RequestInvalid
from .core.host import Host
from .notify.channels import PING, Channel
from .notify.conditions import look
from .notify.delivery import send_one, send_waiting
from .notify.recorder import Recorder
from .notify.texts import spoken_notice
from .report.notify import incidents_text, pending_text, sent_text, tests_text
from .report.printer import Printer


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--overdue", action="store_true", help="look for jobs that are overdue and for alerts first: for cron"
    )
    what.add_argument("--test", action="store_true", help="send a test to every channel, or to those that are named")
    what.add_argument("--pending", action="store_true", help="show what waits, what is open, and how the channels do")
    what.add_argument(
        "--tell", choices=EMERGENCY_EVENTS, metavar="EVENT", help=f"tell the webhooks: {', '.join(EMERGENCY_EVENTS)}"
    )
    command.add_argument("channels", nargs="*", metavar="CHANNEL", help="with --test: service/channel, or channel")
    command.add_argument("--service", metavar="NAME", help="with --tell: of this service")
    command.add_argument("--message", metavar="TEXT", help="with --tell: what to say")
    command.add_argument("--off", action="store_true", help="with --tell: that it is over")


def notify(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Do it. The exit status is 3 when something waits for a channel that is down, 1 when a test failed."""
    host = Host(journal=printer)
    recorder = Recorder(description, host=host)
    if options.channels and not options.test:
        raise RequestInvalid(
            "Channels are named for --test only.", hint=f"lifeboat notify --test {options.channels[0]}"
        )
    if options.test:
        return _test(options, printer, recorder, host=host)
    if options.pending:
        return _pending(printer, recorder)
    if options.tell:
        _tell(options, description, recorder, host=host)
    problems: t.Sequence[LifeboatError] = ()
    if options.overdue:
        report = report_of(options, printer, description)
        now = parse_time(report.document["at"])
        seen = look(report.document, description.services, recorder.open_incidents(), now=now)
        for key in seen.gone:
            recorder.spool.close_incident(key)
        recorder.record(seen.occurrences)
        problems = report.problems
    sent = send_waiting(recorder.channels, recorder.spool, host=host)
    printer.result(sent_text(sent))
    printer.document({**sent.as_dict(), "problems": [problem.as_dict() for problem in problems]})
    for key, error in (sent.errors or {}).items():
        printer.error(error, job=key)
    return 3 if sent.errors else 0


def _test(options: argparse.Namespace, printer: Printer, recorder: Recorder, *, host: Host) -> int:
    chosen = _chosen(options.channels, recorder.channels)
    errors: dict[str, LifeboatError | None] = {}
    for channel in chosen:
        now = host.clock.now()
        notice = spoken_notice(
            "test",
            service=channel.service,
            title=f"{channel.service}: a test of the channel {channel.name}",
            text=f"This is a test by {host.name}. Nothing is wrong, and nothing is to be done.",
            facts={},
            now=now,
            host=host.name,
        )
        errors[channel.key] = None
        standing = recorder.spool.standing(channel.key)
        try:
            send_one(channel, notice, host=host)
            recorder.spool.put_standing(standing.well(now=now))
        except LifeboatError as raised:
            errors[channel.key] = raised
            recorder.spool.put_standing(standing.down(raised.as_dict(), now=now))
    printer.result(tests_text(errors))
    printer.document(
        {"channels": {key: {"error": error.as_dict() if error else None} for key, error in errors.items()}}
    )
    failed = {key: error for key, error in errors.items() if error is not None}
    for key, error in failed.items():
        printer.error(error, job=key)
    if failed:
        printer.error(
            ChannelsFailed(
                f"{len(failed)} of {len(errors)} channels could not be told.",
                hint=f"Mend what is named, then: lifeboat notify --test {_shown(next(iter(failed)))}",
            )
        )
    return 1 if failed else 0


def _chosen(names: t.Sequence[str], channels: t.Sequence[Channel]) -> list[Channel]:
    """The channels of these names; without names all but dead-man switches, whose clock a test would set back."""
    if not channels:
        raise ChannelUnknown(
            "The description has no channels.", hint="Add notifications to a service; docs/notifications.md shows how."
        )
    if not names:
        return [one for one in channels if one.kind != PING]
    chosen = [one for one in channels if {one.name, _shown(one.key)} & set(names)]
    known = {word for one in channels for word in (one.name, _shown(one.key))}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ChannelUnknown(
            f"No channel is called {unknown[0]!r}.", hint=f"Channels: {', '.join(_shown(one.key) for one in channels)}."
        )
    return chosen


def _shown(key: str) -> str:
    return key.replace(":", "/")


def _pending(printer: Printer, recorder: Recorder) -> int:
    waiting, incidents = recorder.spool.waiting(), recorder.open_incidents()
    standings = [recorder.spool.standing(one.key) for one in recorder.channels]
    printer.result(pending_text(waiting, standings))
    printer.result(incidents_text(incidents))
    printer.document(
        {
            "waiting": [one.as_dict() for one in waiting],
            "incidents": [one.as_dict() for one in incidents],
            "channels": [one.as_dict() for one in standings],
        }
    )
    return 0


def _tell(options: argparse.Namespace, description: Description, recorder: Recorder, *, host: Host) -> None:
    """Take note of an emergency event. Raises RequestInvalid, ChannelUnknown."""
    services = [one for one in description.services if one.name == options.service]
    if not services:
        names = ", ".join(one.name for one in description.services)
        raise RequestInvalid(f"--tell needs a service: {names}.", hint=f"--tell {options.tell} --service NAME")
    degraded = services[0].surroundings.get("degraded_mode", {})
    message = options.message or degraded.get("message") or ""
    now = host.clock.now()
    notice = spoken_notice(
        options.tell,
        service=options.service,
        title=f"{options.service}: {options.tell.replace('_', ' ')} {'off' if options.off else 'on'}",
        text=message or f"{options.tell.replace('_', ' ')} is {'off' if options.off else 'on'}.",
        facts={
            "active": not options.off,
            **{name: degraded[name] for name in ("essential", "disabled", "alternatives") if name in degraded},
        },
        now=now,
        host=host.name,
    )
    if not recorder.tell(notice):
        raise ChannelUnknown(
            f"No webhook of {options.service} has an endpoint for {options.tell}.",
            hint=f"Add it to notifications: webhooks: endpoints: {{{options.tell}: /PATH}}",
        )
