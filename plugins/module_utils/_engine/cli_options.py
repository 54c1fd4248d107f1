# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of the way back share: options given as NAME=VALUE, the private key, times, the target's place."""

from __future__ import annotations

import argparse
import datetime
import typing as t

from .core.clock import parse_time
from .core.description.description import Description
from .core.description.model import Source
from .core.errors import LibraryMissing, RequestInvalid
from .core.secrets import Secret
from .operations.description_requests import identity_from

OPTION_HELP = "an option of the restore: -o data_directory=/srv/copy, -o connection.port=5433"


def target_options(options: argparse.Namespace, source: Source, *, kind: str | None) -> dict[str, t.Any]:
    """The restorer's options: those given, in_place with the source's way to stop its server, and its connection."""
    own = options_from(options.option)
    if options.in_place:
        own["in_place"] = True
    # A database of PostgreSQL is renamed while its server runs.
    is_stopped = source.engine != "postgresql" or kind != "logical"
    if own.get("in_place") and is_stopped and source.service_control:
        own.setdefault("service_control", dict(source.service_control))
    if own.get("in_place") and source.engine == "files" and source.redeploy:
        own.setdefault("redeploy", list(source.redeploy))
    # Where nothing else is said, the target is the server that the backup came from.
    given = own.pop("connection", {})
    if not isinstance(given, dict):
        raise RequestInvalid(
            f"-o connection={given}: a connection has several parts.", hint="Name each: -o connection.port=5433"
        )
    return {**own, "connection": {**source.connection, **given}}


def identity_of(options: argparse.Namespace, description: Description) -> Secret:
    """The private key: --identity-file, else the description's."""
    decryption = {"identity_file": options.identity_file} if options.identity_file else description.settings.decryption
    return identity_from(decryption)


def time_from(text: str | None) -> datetime.datetime | None:
    """The time of --before. Raises RequestInvalid."""
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise RequestInvalid(f"--before: {error}", hint="Write 2026-11-21T02:00:00Z.") from error


def options_from(given: t.Sequence[str]) -> dict[str, t.Any]:
    """From ``name=value`` with dots for what lies deeper; values as in YAML: numbers, true and false, [a, b]."""
    try:
        import yaml
    except ImportError as error:
        raise LibraryMissing(
            "The Python library PyYAML is needed to read options.",
            hint="Install it for the interpreter that runs Lifeboat: pip install PyYAML",
        ) from error
    options: dict[str, t.Any] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise RequestInvalid(f"-o {entry!r} is not NAME=VALUE.", hint="For example -o data_directory=/srv/copy")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RequestInvalid(
                f"-o {name}: the value {value!r} can't be read as YAML.",
                hint=f"Put quotes around it: -o '{name}=\"...\"'",
            ) from error
        place: t.Any = options
        *outer, last = name.split(".")
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            raise RequestInvalid(f"-o {name} contradicts another -o of the same name.", hint="Give each option once.")
        place[last] = parsed
    return options
