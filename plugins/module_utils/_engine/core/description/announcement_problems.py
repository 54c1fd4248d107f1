# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant in the announcements of a service: channels that there are not, texts given twice."""

from __future__ import annotations

import typing as t

from .problems import Problem, nearest
from .reading import Entry, entries, mapping, text_at


def announcement_problems(service: Entry) -> t.Iterator[Problem]:
    """Everything in *service*'s communication: announcements."""
    notifications = mapping(service.data.get("notifications"))
    kinds = {key: key for key in ("webhooks", "mail") if key in notifications}
    for channel in entries(notifications, (*service.path, "notifications"), "channels"):
        name = text_at(channel.data, "name")
        if name is not None:
            kinds[name] = "ping" if "ping" in channel.data else "channel"
    endpoints = mapping(mapping(notifications.get("webhooks")).get("endpoints"))
    place = (*service.path, "communication")
    seen: set[str] = set()
    for one in entries(mapping(service.data.get("communication")), place, "announcements"):
        audience = text_at(one.data, "audience")
        if audience in seen:
            yield Problem((*one.path, "audience"), f"{str(audience)[:63]!r} is told already.", "Put both into one.")
        seen.add(audience or "")
        yield from _channels(one, kinds, endpoints)
        texts, files = mapping(one.data.get("texts")), mapping(one.data.get("files"))
        for event in texts:
            if event in files:
                yield Problem((*one.path, "files", event), "contradicts the text for it.", "Keep one of them.")


def _channels(one: Entry, kinds: t.Mapping[str, str], endpoints: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    listed = one.data.get("channels")
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(name, str):
            continue
        path = (*one.path, "channels", index)
        if name not in kinds:
            guess = nearest(name, kinds)
            yield Problem(
                path,
                f"notifications has no channel {name[:63]!r}{'; ' + guess if guess else '.'}",
                f"It has: {', '.join(kinds)}." if kinds else "It has none at all.",
            )
        elif kinds[name] == "ping":
            yield Problem(path, "is a dead-man switch, which tells nobody anything.", "Name another channel.")
        elif name == "webhooks" and "notify_users" not in endpoints:
            yield Problem(path, "has no endpoint notify_users.", "Add it to notifications: webhooks: endpoints.")
