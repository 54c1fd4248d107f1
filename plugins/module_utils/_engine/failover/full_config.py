# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery config: where a lost system comes back, and up to when. What is to come back says the description.

It is read before anything is asked: a key that nobody knows, or a source that nobody described, ends the play at once.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time
from ..core.errors import RecoveryTargetInvalid, RequestInvalid
from ..core.options import flag, optional_text, refuse_unknown
from ..dns.record import TYPES
from ..recovery.target_time import instant_of

Json = t.Mapping[str, t.Any]

OF = "A recovery config"
KEYS = ("service", "host", "hosts", "region", "point", "lost_at", "repositories", "order", "sources", "names")
KEYS_OF_SOURCES = ("replace", "unverified")
SOURCE_KEYS = ("leave", "host", "kind", "point", "data_directory", "connection", "service_control", "options")
#: Up to where a source comes back, beside a time: all that was shipped, or a backup alone.
LATEST, BACKUP = "latest", "backup"
#: Among sources: all of them.
ALL = "all"
#: Among the types of a name: that of its only record, whichever it is.
ONLY = ""


@dataclass(frozen=True)
class SourceConfig:
    """What is different for one source. *point* is empty for that of the whole config."""

    leave: bool = False
    host: str = ""
    kind: str = ""
    point: str = ""
    data_directory: str = ""
    connection: Json = field(default_factory=dict)
    service_control: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)


@dataclass(frozen=True)
class RecoveryConfig:
    """*host* takes the place of the described one; *hosts* says for every other old host which one does.

    *point* is empty for the newest that can be reached. *lost_at* is when the system was lost. *repositories* are those
    that new hosts read; all that are no folders without it. *names* are the values of names afterwards, by the type of
    the record; ``full_names`` holds them against the described ones. *replace* are the sources whose place on the new
    host may hold something already, *unverified* those whose newest backup is taken whether it was verified or not.
    """

    service: str
    host: str = ""
    hosts: t.Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    point: str = ""
    lost_at: str = ""
    repositories: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    sources: t.Mapping[str, SourceConfig] = field(default_factory=dict)
    names: t.Mapping[str, t.Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    replace: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    def of(self, source: str) -> SourceConfig:
        """What it says of one source."""
        return self.sources.get(source, SourceConfig())

    def place_of(self, host: str) -> str:
        """The host that takes the place of *host*; itself where it has the same name and another address."""
        return self.hosts.get(host, host)

    def require_known(self, *, sources: t.Collection[str], names: t.Collection[str]) -> None:
        """Raise RequestInvalid where it speaks of something that the description does not have."""
        named = {*self.sources, *self.order, *({*self.replace, *self.unverified} - {ALL})}
        for what, strangers, known in (
            ("source", named - set(sources), sources),
            ("name (dns)", set(self.names) - set(names), names),
        ):
            if strangers:
                raise RequestInvalid(
                    f"{OF} speaks of {' and '.join(sorted(strangers))}, and {self.service} has no such {what}.",
                    hint=f"It has: {', '.join(sorted(known)) or 'none'}.",
                )


def named_among(source: str, named: t.Collection[str]) -> bool:
    """Whether *named* has the source, or all of them."""
    return source in named or ALL in named


def recovery_config(given: t.Any, *, replace: t.Any = None, unverified: t.Any = None) -> RecoveryConfig:
    """From a service's name, or the mapping of a file. *replace* and *unverified* are more sources, as a list or with
    commas. Raises RequestInvalid.
    """
    document = {"service": given} if isinstance(given, str) else given
    if not isinstance(document, dict):
        raise RequestInvalid(
            f"{OF} is the name of a service or a mapping, not {given!r}.",
            hint="Write -e lifeboat_full_restore=SERVICE, or -e @recovery_config.yml with lifeboat_full_restore in it.",
        )
    refuse_unknown(document, known=(*KEYS, *KEYS_OF_SOURCES), of=OF)
    service = optional_text(document, "service", of=OF)
    if service is None or "/" in service:
        raise RequestInvalid(f"{OF} must name one service, not {service!r}.", hint="Write service: NAME.")
    return RecoveryConfig(
        service=service,
        host=optional_text(document, "host", of=OF) or "",
        hosts={str(old): _text(new, f"hosts.{old}") for old, new in _mapping(document, "hosts").items()},
        region=optional_text(document, "region", of=OF) or "",
        point=_point(document, of=OF),
        lost_at=_time(document.get("lost_at"), "lost_at"),
        repositories=_texts(document.get("repositories"), "repositories"),
        order=_texts(document.get("order"), "order"),
        sources={str(name): _source(str(name), one) for name, one in _mapping(document, "sources").items()},
        names={str(name): _by_type(one, f"names.{name}") for name, one in _mapping(document, "names").items()},
        replace=_sources(document, "replace", replace),
        unverified=_sources(document, "unverified", unverified),
    )


def _sources(document: Json, key: str, more: t.Any) -> tuple[str, ...]:
    listed = more.split(",") if isinstance(more, str) else more
    return tuple(dict.fromkeys((*_texts(document.get(key), key), *_texts(listed, key))))


def _source(name: str, given: t.Any) -> SourceConfig:
    of = f"{OF}.sources.{name}"
    if not isinstance(given, dict):
        raise RequestInvalid(f"{of} must be a mapping, not {given!r}.", hint=f"Write {name}: {{host: NAME}}.")
    refuse_unknown(given, known=SOURCE_KEYS, of=of)
    return SourceConfig(
        leave=flag(given, "leave", of=of),
        host=optional_text(given, "host", of=of) or "",
        kind=optional_text(given, "kind", of=of) or "",
        point=_point(given, of=of),
        data_directory=optional_text(given, "data_directory", of=of) or "",
        connection=_mapping(given, "connection", of=of),
        service_control=_mapping(given, "service_control", of=of),
        options=_mapping(given, "options", of=of),
    )


def _point(document: Json, *, of: str) -> str:
    given = document.get("point")
    if given in (None, LATEST, BACKUP):
        return str(given or "")
    return _time(given, f"{of}.point" if of != OF else "point")


def _time(given: t.Any, key: str) -> str:
    """The moment in UTC, once it is certain which one is meant."""
    if given is None:
        return ""
    try:
        return format_time(instant_of(given))
    except RecoveryTargetInvalid as error:
        raise RequestInvalid(f"{OF}: {key}: {error.message}", hint=error.hint) from error


def _mapping(document: Json, key: str, *, of: str = OF) -> dict[str, t.Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestInvalid(f"{of}.{key} must be a mapping, not {value!r}.")
    return dict(value)


def _by_type(value: t.Any, key: str) -> dict[str, tuple[str, ...]]:
    """The values of a name by the types of its records; as a list alone those of its only one."""
    if not isinstance(value, dict):
        return {ONLY: _texts(value, key)}
    refuse_unknown(value, known=TYPES, of=f"{OF}.{key}")
    return {str(type_): _texts(one, f"{key}.{type_}") for type_, one in value.items()}


def _texts(value: t.Any, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise RequestInvalid(f"{OF}.{key} must be a list of texts, not {value!r}.")
    return tuple(_text(one, key) for one in listed)


def _text(value: t.Any, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RequestInvalid(f"{OF}.{key} must be text that is not empty, not {value!r}.")
    return value.strip()
