# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be chosen about WAL-G, and where its storage lies, checked before anything is touched."""

from __future__ import annotations

import datetime
import json
import os
import re
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ..core.description.duration import parse_duration
from ..core.errors import RequestInvalid, WalgConfigurationInvalid

OF = "walg"
#: Of a backup; a restore has those of where WAL-G is.
PLACE_KEYS = ("program", "config", "environment", "environment_file")
RESTORE_KEYS = (*PLACE_KEYS, "recover_to")
KEYS = (*PLACE_KEYS, "max_steps", "max_age", "full_after_timeline_change", "archive_wait")
PROGRAM = "wal-g"
DEFAULT_MAX_STEPS, MOST_STEPS = 6, 1000
DEFAULT_MAX_AGE = "7d"
DEFAULT_ARCHIVE_WAIT = 300
#: WAL-G takes the first of these that is set, in this order, and says nothing of the others (its documentation,
#: "Storages"); each may also begin with WALE_.
PREFIXES = (
    "OSS_PREFIX",
    "S3_PREFIX",
    "FILE_PREFIX",
    "GS_PREFIX",
    "AZ_PREFIX",
    "SWIFT_PREFIX",
    "SSH_PREFIX",
)
FILE_PREFIX, S3_PREFIX = "FILE_PREFIX", "S3_PREFIX"
_STARTS = ("WALG_", "WALE_")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
# Decided here for every call, or by the connection: a second opinion in a file would win or lose unseen.
_OURS = ("WALG_DELTA_MAX_STEPS", "WALG_DELTA_ORIGIN", "WALG_CONFIG_PATH")
_SECRET_WORDS = ("KEY", "SECRET", "PASSWORD", "PASSPHRASE", "TOKEN")


@dataclass(frozen=True)
class WalgOptions:
    """Where WAL-G is, and when it makes a full backup.

    *config* is a JSON file as WAL-G reads it, *environment* are settings beside it and *environment_file* a file with
    lines ``NAME=value`` for those that are secret. A delta is made of at most *max_steps* others and while its full one
    is younger than *max_age*; *full_after_timeline_change* makes the first backup behind a recovery or promotion a full
    one. *archive_wait* is how many seconds a segment that is on its way may take to arrive. *recover_to* is for
    restores: the target in WAL-G's archive, None for the end of the backup.
    """

    program: str = PROGRAM
    config: str = ""
    environment: t.Mapping[str, str] = field(default_factory=dict)
    environment_file: str = ""
    max_steps: int = DEFAULT_MAX_STEPS
    max_age: datetime.timedelta = datetime.timedelta(days=7)
    full_after_timeline_change: bool = True
    archive_wait: int = DEFAULT_ARCHIVE_WAIT
    recover_to: t.Mapping[str, t.Any] | None = None


def walg_options(description: t.Any, *, keys: t.Sequence[str] = KEYS) -> WalgOptions:
    """From the mapping under ``walg``. Raises RequestInvalid for unknown keys and for what can't be."""
    if not isinstance(description, t.Mapping):
        raise RequestInvalid(f"walg is {description!r}, and must be a mapping.", hint="Write walg: {config: /a/path}.")
    unknown = sorted(str(key) for key in description if key not in keys)
    if unknown:
        raise RequestInvalid(f"walg has no option {', '.join(unknown)}.", hint=f"Its options are: {', '.join(keys)}.")
    given = {key: value for key, value in description.items() if value is not None}
    for key in ("program", "config", "environment_file"):
        value = given.get(key, PROGRAM)
        if not isinstance(value, str) or not value or (key != "program" and key in given and not os.path.isabs(value)):
            raise RequestInvalid(f"walg.{key} is {value!r}.", hint=f"Write {key} as an absolute path.")
    given["environment"] = _environment(given.get("environment", {}))
    _number(given, "max_steps", least=0, most=MOST_STEPS)
    _number(given, "archive_wait", least=0, most=86400)
    if not isinstance(given.get("full_after_timeline_change", True), bool):
        raise RequestInvalid(
            f"walg.full_after_timeline_change is {given['full_after_timeline_change']!r}.", hint="Use true or false."
        )
    if not isinstance(given.get("recover_to", {}), t.Mapping):
        raise RequestInvalid(
            f"walg.recover_to is {given['recover_to']!r}.", hint='Write a mapping: {time: "2026-11-21T14:03:00Z"}.'
        )
    given["max_age"] = parse_duration(given.get("max_age", DEFAULT_MAX_AGE))
    return WalgOptions(**given)


def walg_place(description: t.Any) -> dict[str, t.Any]:
    """Where WAL-G is, without what is about making backups; {} where nothing is said. Raises RequestInvalid."""
    if not isinstance(description, t.Mapping):
        return {}
    place = {key: description[key] for key in PLACE_KEYS if description.get(key) is not None}
    walg_options(place, keys=PLACE_KEYS)
    return place


@dataclass(frozen=True)
class WalgSettings:
    """What WAL-G will be told: *environment* is what is given to the process, *prefix* names the storage.

    *prefix* is free of secrets. *kind* is the setting that named it, without its beginning: ``S3_PREFIX``. *effective*
    are all settings that are known here, from the files and the environment; some are secret.
    """

    environment: t.Mapping[str, str]
    config: str
    kind: str
    prefix: str
    effective: t.Mapping[str, str] = field(default_factory=dict, repr=False)


def read_settings(options: WalgOptions, *, inherited: t.Mapping[str, str], homes: t.Sequence[str] = ()) -> WalgSettings:
    """Read the files and see that exactly one storage is named. *inherited* is the environment of this process.

    WAL-G itself only warns of a file that it can't read, and goes on without it. *homes* are the home folders in which
    it looks for a file of its own when none is named. Raises WalgConfigurationInvalid.
    """
    settings = _configured(options.config) if options.config else {}
    if not options.config:
        _refuse_hidden_files(homes)
    given = {**_file_lines(options.environment_file), **options.environment}
    _refuse_ours({**settings, **given})
    # The environment wins over the file, as in WAL-G.
    effective = {**settings, **{key: inherited[key] for key in inherited if key.startswith(_STARTS)}, **given}
    named = [start + prefix for prefix in PREFIXES for start in _STARTS if effective.get(start + prefix)]
    if not named:
        raise WalgConfigurationInvalid(
            "Nothing names the storage of WAL-G: there is no WALG_S3_PREFIX, WALG_FILE_PREFIX or the like in "
            f"{options.config or 'walg.environment'}.",
            hint="Name the file that archive_command uses: walg: {config: /etc/wal-g/main.json}",
        )
    if len(named) > 1:
        raise WalgConfigurationInvalid(
            f"Several storages are named ({', '.join(named)}); WAL-G would take one of them and not say which.",
            hint="Keep the one that archive_command uses, in the file and in the environment.",
            details={"named": named},
        )
    folder = effective.get("WALG_STORAGE_PREFIX") or ""
    prefix = without_secrets(effective[named[0]]).rstrip("/")
    return WalgSettings(
        environment=given,
        config=options.config,
        kind=named[0].partition("_")[2],
        prefix=f"{prefix}/{folder.strip('/')}" if folder else prefix,
        effective={**{key: inherited[key] for key in inherited if key.startswith("AWS_")}, **effective},
    )


def without_secrets(prefix: str) -> str:
    """A storage's address without user information and query."""
    parts = urllib.parse.urlsplit(prefix)
    if not parts.scheme:
        return prefix
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _environment(value: t.Any) -> dict[str, str]:
    if not isinstance(value, t.Mapping):
        raise RequestInvalid(f"walg.environment is {value!r}.", hint="Write a mapping: {WALG_FILE_PREFIX: /a/path}.")
    found: dict[str, str] = {}
    for key, one in value.items():
        if not isinstance(key, str) or not _NAME.fullmatch(key) or isinstance(one, (dict, list)) or one is None:
            raise RequestInvalid(f"walg.environment has {key!r}.", hint="Write NAMES: and a text or a number each.")
        if any(word in key for word in _SECRET_WORDS) and not key.endswith(("_PATH", "_FILE", "_ID", "_TRANSFORM")):
            raise RequestInvalid(
                f"walg.environment holds {key}, which is a secret: it would stand in the description and in results.",
                hint="Put it into the file that walg.environment_file names, with mode 0600.",
            )
        found[key] = str(one).lower() if isinstance(one, bool) else str(one)
    return found


def _number(values: t.Mapping[str, t.Any], key: str, *, least: int, most: int) -> None:
    value = values.get(key, least)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RequestInvalid(f"walg.{key} is {value!r}.", hint=f"Use a number from {least} to {most}.")


def _configured(path: str) -> dict[str, str]:
    text = _read(path)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WalgConfigurationInvalid(
            f"{path} is no JSON: {error}. WAL-G would only warn of it and go on without.",
            hint=f"Run: python3 -m json.tool {path}",
            details={"path": path},
        ) from error
    if not isinstance(found, dict):
        raise WalgConfigurationInvalid(f"{path} holds no mapping.", hint='Write: {"WALG_FILE_PREFIX": "/a/path"}')
    if "WALG_FAILOVER_STORAGES" in {str(key).upper() for key in found}:
        raise WalgConfigurationInvalid(
            f"{path} names failover storages: wal-verify looks at the first storage only, so nothing could be proved.",
            hint="Leave WALG_FAILOVER_STORAGES out of the file that is used here.",
        )
    # WAL-G's library does not tell upper from lower case.
    return {str(key).upper(): str(value) for key, value in found.items() if not isinstance(value, (dict, list))}


def _file_lines(path: str) -> dict[str, str]:
    if not path:
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            # The line itself may be a secret.
            raise WalgConfigurationInvalid(f"Line {number} of {path} is not NAME=value.", hint=f"Run: nl -ba {path}")
        found[name.strip()] = value.strip().strip("\"'")
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise WalgConfigurationInvalid(
            f"{path} can't be read: {error}.", hint=f"Run: ls -l {path}", details={"path": path}
        ) from error


def _refuse_ours(settings: t.Mapping[str, str]) -> None:
    both = sorted(set(settings) & set(_OURS))
    if both:
        raise WalgConfigurationInvalid(
            f"{', '.join(both)} is set for WAL-G, and is decided by walg.max_steps and walg.config here.",
            hint="Leave it out.",
            details={"settings": both},
        )


def _refuse_hidden_files(homes: t.Sequence[str]) -> None:
    for home in homes:
        for ending in ("json", "yaml", "yml", "toml", "properties"):
            path = os.path.join(home, f".walg.{ending}")
            if os.path.exists(path):
                raise WalgConfigurationInvalid(
                    f"No config is named, and WAL-G would read {path} as well.",
                    hint=f"Set walg.config to it when it is the right one: walg: {{config: {path}}}",
                    details={"path": path},
                )
