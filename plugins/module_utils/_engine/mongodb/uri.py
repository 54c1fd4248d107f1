# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection strings as text: showing them without their secrets, and pointing them at one member."""

from __future__ import annotations

import re
import typing as t

_URI = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?)://(?:(?P<user>[^@/]*)@)?(?P<hosts>[^/?]*)(?:/(?P<database>[^?]*))?(?:\?(?P<options>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::\d{1,5})?")
# What would contradict a connection to one member that is named.
_DROPPED_OPTIONS = frozenset(("directconnection", "loadbalanced", "srvmaxhosts", "srvservicename", "readpreference"))


def shown_uri(uri: str) -> str:
    """The URI for people: scheme, hosts and database, neither user nor password nor options."""
    found = _URI.fullmatch(uri)
    # An @, / or ? that should have been %40, %2F or %3F, or a host that is none: nothing of it is safe to show.
    if (
        found is None
        or "@" in (found["database"] or "") + (found["options"] or "")
        or not all(_HOST.fullmatch(host) for host in found["hosts"].split(","))
    ):
        return "the MongoDB URI"
    database = f"/{found['database']}" if found["database"] else ""
    return f"{found['scheme']}://{found['hosts']}{database}"


def seeds(uri: str) -> tuple[tuple[str, int], ...]:
    """Hosts and ports of a URI as it is written (a +srv name isn't resolved); those that can't be read are left out."""
    found = _URI.fullmatch(uri)
    if found is None:
        return ()
    return tuple(split_host(part) for part in found["hosts"].split(",") if part)


def split_host(text: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as a pair; without a port it is 27017."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?", text)
    if found is None:
        return text, 27017
    return found[1].strip("[]"), int(found[2] or 27017)


def direct_uri(uri: str, *, host: str) -> str:
    """The same credentials and options, but for the member *host* (``name:port``) alone.

    The options that a ``mongodb+srv`` name adds by its DNS records are added here, so that nothing is lost.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        return uri
    options = [
        option
        for option in re.split("[&;]", found["options"] or "")
        if option and option.split("=", 1)[0].lower() not in _DROPPED_OPTIONS
    ]
    if found["scheme"] == "mongodb+srv":
        options += _srv_options(uri, given={option.split("=", 1)[0].lower() for option in options})
    options.append("directConnection=true")
    user = f"{found['user']}@" if found["user"] is not None else ""
    return f"mongodb://{user}{host}/{found['database'] or ''}?{'&'.join(options)}"


def _srv_options(uri: str, *, given: t.Collection[str]) -> list[str]:
    from urllib.parse import quote

    from pymongo.uri_parser import parse_uri

    parsed = parse_uri(uri)["options"]
    added: list[str] = []
    for name in ("tls", "authSource", "replicaSet"):
        value = parsed.get(name)
        if value is None or name.lower() in given or (name == "tls" and "ssl" in given):
            continue
        written = str(value).lower() if isinstance(value, bool) else quote(str(value), safe="")
        added.append(f"{name}={written}")
    return added
