# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be meant in the names of a service: values of another type, a provider without what it needs."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .problems import Path, Problem
from .reading import Entry, entries, mapping, text_at

#: What only one provider reads.
_OWN: t.Mapping[str, tuple[str, ...]] = {
    "route53": ("zone_id", "endpoint_url", "credentials"),
    "rfc2136": ("server", "key_file"),
    "command": ("command", "try_command"),
    "manual": (),
}
_NEEDED: t.Mapping[str, tuple[str, ...]] = {
    "route53": ("zone",),
    "rfc2136": ("zone", "server"),
    "command": ("zone", "command"),
    "manual": (),
}
_WORDS = ("name", "type", "zone", "ttl", "region", "value", "values")
_VERSIONS = {"A": 4, "AAAA": 6}


def dns_problems(service: Entry) -> t.Iterator[Problem]:
    """Everything in the names of *service*."""
    known = set()
    for record in entries(service.data, service.path, "dns"):
        named = _bare(text_at(record.data, "name")), text_at(record.data, "type")
        if all(named) and named in known:
            yield Problem(
                record.path,
                f"{named[0]} has a record of the type {named[1]} already.",
                "Describe all of its values in one. A command can move what another zone says of it, too.",
            )
        known.add(named)
        yield from _provider(record)
        yield from _zone(record.data, record.path)
        drill = mapping(record.data.get("drill"))
        yield from _zone(drill, (*record.path, "drill"))
        if drill and _bare(text_at(drill, "name")) == _bare(text_at(record.data, "name")):
            yield Problem(
                (*record.path, "drill", "name"), "is the name that clients use.", "Give drills a name of their own."
            )
        yield from _values(record)
        for key in ("command", "try_command"):
            yield from _words(text_at(record.data, key) or "", (*record.path, key))


def _provider(record: Entry) -> t.Iterator[Problem]:
    provider = text_at(record.data, "provider")
    if provider is None or provider not in _OWN:
        return
    for key in _NEEDED[provider]:
        if key not in record.data:
            yield Problem(record.path, f"provider {provider} needs {key}.", f"Add {key}.")
    for other, keys in _OWN.items():
        for key in keys:
            if other != provider and key in record.data:
                yield Problem((*record.path, key), f"is for provider {other}, and this is {provider}.", "Remove it.")


def _zone(holder: t.Mapping[str, t.Any], path: Path) -> t.Iterator[Problem]:
    name, zone = _bare(text_at(holder, "name")), _bare(text_at(holder, "zone"))
    if name and zone and name != zone and not name.endswith("." + zone):
        yield Problem((*path, "zone"), f"{name[:80]} is not in {zone[:80]}.", "Name the zone that the name ends with.")


def _values(record: Entry) -> t.Iterator[Problem]:
    type_ = text_at(record.data, "type")
    for region, listed in mapping(record.data.get("values")).items():
        path: Path = (*record.path, "values", region)
        values = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
        if type_ == "CNAME" and len(values) > 1:
            yield Problem(path, "has several values, and a CNAME has one.", "Keep one.")
        for index, value in enumerate(values):
            version = _version(value)
            if type_ in _VERSIONS and version != _VERSIONS[type_]:
                yield Problem((*path, index), f"is no address of IPv{_VERSIONS[type_]}.", f"The type is {type_}.")
            if type_ == "CNAME" and version:
                yield Problem(
                    (*path, index), "is an address, and a CNAME leads to a name.", "Say type: A, or give a name."
                )


def _words(command: str, path: Path) -> t.Iterator[Problem]:
    for word in re.findall(r"\{([a-z_]+)\}", command):
        if word not in _WORDS:
            yield Problem(path, f"{{{word}}} stands for nothing.", f"There are: {', '.join(_WORDS)}.")


def _bare(name: str | None) -> str:
    return (name or "").lower().removesuffix(".")


def _version(value: str) -> int:
    try:
        return ipaddress.ip_address(value).version
    except ValueError:
        return 0
