# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling by Apprise, where its library is: one of the services that it knows."""

from __future__ import annotations

import logging
import typing as t

from ..core.errors import ChannelUnreachable, LibraryMissing, RequestInvalid
from ..core.host import Host
from ..core.secrets import secret_from
from .channels import Channel
from .values import Notice

_TYPES = {"critical": "failure", "high": "failure", "medium": "warning", "warning": "warning", "info": "info"}


def send_by_apprise(channel: Channel, notice: Notice, *, host: Host) -> None:
    """Hand it to every address.

    Raises LibraryMissing, SecretUnavailable, RequestInvalid for an address that Apprise does not know, and
    ChannelUnreachable when one of the services did not take it (Apprise does not say why).
    """
    apprise = _library()
    addresses = (secret_from(channel.options, "url").fetch(runner=host.runner) or "").split()
    # It logs addresses, and they are secrets.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    failed = []
    for position, address in enumerate(addresses, 1):
        told = apprise.Apprise()
        if not told.add(address):
            raise RequestInvalid(
                f"Line {position} of {len(addresses)} is no address that Apprise knows.",
                hint="Its documentation lists them; special characters in passwords must be written as %XX.",
            )
        kind = "success" if notice.event == "recovery" else _TYPES[notice.severity]
        if not told.notify(title=notice.title, body=notice.text, notify_type=kind):
            failed.append(f"line {position} ({address.partition(':')[0]})")
    if failed:
        raise ChannelUnreachable(
            f"Apprise could not tell {' and '.join(failed)} of {len(addresses)}.",
            hint="Look with the addresses at hand: apprise -vv -b test ADDRESS",
        )


def _library() -> t.Any:
    try:
        import apprise
    except ImportError as error:
        raise LibraryMissing(
            "The Python library apprise is needed to tell by Apprise.",
            hint="Install it for the interpreter that runs Lifeboat: pip install apprise",
        ) from error
    return apprise
