# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of the module that tells people to the engine. Private to the collection."""

from __future__ import annotations

import typing as t

from ._engine.core.errors import RequestInvalid
from ._engine.notify.announcing import TOLD, Announcement, announce
from ._engine.notify.channels import Channel
from ._storages import storages_of

if t.TYPE_CHECKING:
    from ._engine.core.host import Host

Options = t.Mapping[str, t.Any]


def tell(options: Options, *, check: bool, host: Host) -> dict[str, t.Any]:
    """Tell everybody; with *check* say only what would be told to whom."""
    storages = storages_of(options.get("repositories"), host=host)
    wanted = [one for each in options["announcements"] for one in _announcements(each, options)]
    told = announce(wanted, storages=storages, facts=options["facts"], check=check, host=host)
    for one in told:
        if one["error"]:
            host.journal.warning(f"{one['audience']} could not be told by {one['channel']}: {one['error']}")
    return {
        "changed": any(one["state"] == TOLD for one in told) or (check and bool(told)),
        "told": told,
        "diff": {
            "before": "",
            "after": "".join(f"{one['audience']} by {one['channel']}: {one['title']}\n" for one in told),
        },
    }


def _announcements(each: Options, options: Options) -> t.Iterator[Announcement]:
    for channel in each["channels"]:
        try:
            given = Channel(
                name=str(channel["name"]),
                kind=str(channel["kind"]),
                service=options["service"],
                options=channel["options"],
            )
        except (KeyError, TypeError) as error:
            raise RequestInvalid(
                "A channel is not described.", hint="Each has name, kind and options, as the filter announcements says."
            ) from error
        yield Announcement(
            service=options["service"],
            run=options.get("run") or "",
            event=options["event"],
            audience=each["audience"],
            channel=given,
            severity=each["severity"],
            title=each["title"],
            text=each["text"],
            occasion=options.get("occasion") or "",
        )
