# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant in the notifications of a service: channels that tell nobody, or tell secrets to everybody."""

from __future__ import annotations

import ipaddress
import typing as t
from urllib.parse import urlsplit

from .job_names import job_names
from .placeholders import PLACEHOLDERS, unknown_words
from .problems import Path, Problem, nearest
from .reading import Entry, entries, mapping, text_at

_SHORT = ("webhooks", "mail")
_SECRETS = ("url", "password", "token")
_KINDS = ("webhook", "mail", "apprise", "ping")


def notification_problems(service: Entry) -> t.Iterator[Problem]:
    """Everything in the notifications of *service*, and in the channels that its alerts name."""
    notifications = mapping(service.data.get("notifications"))
    place: Path = (*service.path, "notifications")
    for key in _SHORT:
        yield from secrets_given_twice(mapping(notifications.get(key)), (*place, key), _SECRETS)
    yield from _webhooks(mapping(notifications.get("webhooks")), (*place, "webhooks"))
    yield from _mail(mapping(notifications.get("mail")), (*place, "mail"))
    names = [key for key in _SHORT if key in notifications]
    for channel in entries(notifications, place, "channels"):
        name = text_at(channel.data, "name")
        if name in _SHORT or name in names:
            yield Problem(
                (*channel.path, "name"), f"{name!r} is the name of another channel.", "Choose a name of its own."
            )
        names += [name] if name else []
        yield from _channel(channel)
        yield from _jobs(service, channel.data, channel.path)
    yield from _jobs(service, mapping(notifications.get("mail")), (*place, "mail"))
    for alert in entries(service.data, service.path, "alerts"):
        yield from _notified(alert, names)


def secrets_given_twice(holder: t.Mapping[str, t.Any], path: Path, secrets: t.Sequence[str]) -> t.Iterator[Problem]:
    """A problem for each of *secrets* that *holder* gives in more than one form."""
    for secret in secrets:
        given = _forms(holder, secret)
        if len(given) > 1:
            yield Problem(path, f"{secret} is given {len(given)} times: {', '.join(given)}.", "Keep one of them.")


def _forms(holder: t.Mapping[str, t.Any], secret: str) -> list[str]:
    return [key for key in (secret, f"{secret}_file", f"{secret}_env", f"{secret}_command") if key in holder]


def _webhooks(webhooks: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    yield from _address(webhooks.get("base_url"), (*path, "base_url"))
    endpoints, bodies = mapping(webhooks.get("endpoints")), mapping(webhooks.get("bodies"))
    for event, endpoint in endpoints.items():
        if isinstance(endpoint, str) and endpoint and not endpoint.startswith("/"):
            yield Problem((*path, "endpoints", event), "is not a path.", "Begin it with a slash.")
    for event, body in bodies.items():
        if event not in endpoints:
            yield Problem((*path, "bodies", event), "is sent nowhere.", f"Add {event} to endpoints.")
        yield from _words(body, (*path, "bodies", event))


def _channel(channel: Entry) -> t.Iterator[Problem]:
    for kind in _KINDS:
        if kind in channel.data:
            holder, path = mapping(channel.data[kind]), (*channel.path, kind)
            yield from secrets_given_twice(holder, path, _SECRETS)
            yield from _mail(holder, path) if kind == "mail" else _called(kind, holder, path)
    if "ping" in channel.data and ("events" in channel.data or "severities" in channel.data):
        yield Problem(
            (*channel.path, "ping"),
            "is called after each run, so events and severities say nothing.",
            "Remove them; of chooses.",
        )


def _called(kind: str, holder: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    if not _forms(holder, "url"):
        yield Problem(path, "does not say where to.", "Add url_file, url_env or url_command, or url.")
    if kind != "apprise":
        yield from _address(holder.get("url"), (*path, "url"))
    for key in ("path", "start", "fail"):
        yield from _words(holder.get(key), (*path, key))
        if str(holder.get(key, "/"))[:1] != "/":
            yield Problem((*path, key), "is not a path.", "Begin it with a slash.")
    yield from _words(holder.get("body"), (*path, "body"))
    for key in mapping(holder.get("headers")):
        if not key.replace("-", "").isalnum() or not key.isascii():
            yield Problem((*path, "headers", key), "is no name of a header.")


def _mail(mail: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    if mail.get("tls") is True and mail.get("starttls") is True:
        yield Problem((*path, "starttls"), "contradicts tls.", "Keep tls on port 465, starttls on 587 or 25.")
    secured = mail.get("tls") is True or mail.get("starttls") is True
    if _forms(mail, "password"):
        if "username" not in mail:
            yield Problem(path, "has a password and no username.", "Add username.")
        if not secured and not _is_loopback(str(mail.get("server", "localhost"))):
            yield Problem(path, "would send the password in the clear.", "Set starttls: true or tls: true.")
    elif "username" in mail:
        yield Problem(path, "has a username and no password.", "Add password_file, password_env or password_command.")
    addresses = mail.get("to")
    for index, address in enumerate(addresses if isinstance(addresses, list) else ()):
        if isinstance(address, str) and address and not _is_address(address):
            yield Problem((*path, "to", index), "is no address of mail.", "Write somebody@example.org.")
    sender = text_at(mail, "from")
    if sender and not _is_address(sender):
        yield Problem((*path, "from"), "is no address of mail.", "Write lifeboat@example.org.")


def _is_address(text: str) -> bool:
    before, at, after = text.partition("@")
    return bool(before and at and after) and text.isprintable() and not any(each in text for each in ' ,;<>"')


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server).is_loopback
    except ValueError:
        return server == "localhost"


def _address(url: t.Any, path: Path) -> t.Iterator[Problem]:
    if not isinstance(url, str) or not url:
        return
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address or not url.isprintable() or " " in url:
        yield Problem(path, "is no address of the web.", "Begin it with https:// and the host's name.")


def _words(template: t.Any, path: Path) -> t.Iterator[Problem]:
    for place, word in unknown_words(template):
        guess = nearest(word, PLACEHOLDERS)
        yield Problem(
            (*path, *place),
            f"{{{word}}} stands for nothing{'; ' + guess if guess else '.'}",
            f"There are: {', '.join(PLACEHOLDERS)}.",
        )


def _jobs(service: Entry, holder: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    """Jobs that the service does not have; by full id or within the service."""
    own = text_at(service.data, "name") or ""
    known: list[str] = []
    for source in entries(service.data, service.path, "sources"):
        name = text_at(source.data, "name")
        backups = [backup.data for backup in entries(source.data, source.path, "backups")]
        known += [name, *(f"{name}/{job}" for job in job_names(backups))] if name is not None else []
    listed = holder.get("jobs")
    for index, job in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(job, str) and job not in (own, *known, *(f"{own}/{one}" for one in known)):
            guess = nearest(job, known)
            yield Problem(
                (*path, "jobs", index),
                f"the service has no job {job[:70]!r}{'; ' + guess if guess else '.'}",
                f"It has: {', '.join(known)}.",
            )


def _notified(alert: Entry, names: t.Sequence[str]) -> t.Iterator[Problem]:
    listed = alert.data.get("notify")
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(name, str) and name not in names:
            guess = nearest(name, names)
            yield Problem(
                (*alert.path, "notify", index),
                f"notifications has no channel {name[:63]!r}{'; ' + guess if guess else '.'}",
                f"It has: {', '.join(names)}." if names else "It has none at all.",
            )
