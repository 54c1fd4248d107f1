# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery label: one name for the same instant in every engine of a service, restored as a set.

The engines can't be stopped together, so a label says how far apart its points can be: *skew_seconds* is the time from
the first request to the last answer. Whatever was acknowledged before the first request is in all of them.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from ..core.clock import format_time, parse_time
from ..core.errors import LabelInvalid
from ..core.ids import is_backup_id, is_name
from .recovery_target import KINDS, RecoveryTarget

FORMAT, FORMAT_VERSION = "lifeboat-label", 1
_LARGEST = 1024 * 1024
_Part = t.TypeVar("_Part")


@dataclass(frozen=True)
class LabelPoint:
    """One source's part: the *target* that a recovery of it aims at, what the server called it, and between which
    moments (aware, UTC, the clock of *host*, where it was marked) it was made.
    """

    source: str
    engine: str
    target: RecoveryTarget
    asked: datetime.datetime
    answered: datetime.datetime
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)
    host: str = ""


@dataclass(frozen=True)
class LabelledFiles:
    """The files of one source: the newest whole backup of them when the label was made, known by its manifest.

    *finished* (aware, UTC) says as of when they are; *manifest_checksum* is the manifest's own.
    """

    source: str
    kind: str
    backup_id: str
    finished: datetime.datetime
    manifest_checksum: str


@dataclass(frozen=True)
class Label:
    """One named instant of a service. *measured_skew* is in seconds, given where hosts with own clocks made it."""

    name: str
    service: str
    host: str
    points: tuple[LabelPoint, ...]
    measured_skew: float | None = None
    files: tuple[LabelledFiles, ...] = ()

    @property
    def made(self) -> datetime.datetime:
        """When the first source was asked."""
        return min(point.asked for point in self.points)

    @property
    def skew_seconds(self) -> float:
        """How far apart the points can be at most."""
        if self.measured_skew is not None:
            return self.measured_skew
        return (max(point.answered for point in self.points) - self.made).total_seconds()

    @property
    def key(self) -> str:
        """Where it lies in a repository. No source can have a name that begins with a dot."""
        return label_key(self.service, self.name)

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "service": self.service,
            "host": self.host,
            "made": format_time(self.made),
            "skew_seconds": round(self.skew_seconds, 6),
            "points": [point_values(point) for point in self.points],
        }
        if self.measured_skew is not None:
            document["measured_skew_seconds"] = self.measured_skew
        if self.files:
            document["files"] = [files_values(one) for one in self.files]
        document["checksum"] = _checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the stored object."""
        return (json.dumps(self.as_dict(), indent=2, sort_keys=True) + "\n").encode("utf-8")


def label_key(service: str, name: str) -> str:
    """The key of a label. Raises LabelInvalid for a name that can't be one."""
    if not is_name(name):
        raise LabelInvalid(
            f"{name!r} can't be the name of a label.",
            hint="Use lower-case letters, digits, dot, dash, underscore; at most 63, a letter or digit first.",
        )
    return f"{labels_folder(service)}{name}.json"


def labels_folder(service: str) -> str:
    """The key prefix of a service's labels."""
    return f"{service}/.labels/"


def parse_label(data: bytes, *, key: str) -> Label:
    """The inverse of :meth:`Label.as_bytes`. Raises LabelInvalid for whatever is not a whole label of that key."""
    try:
        document = json.loads(data[:_LARGEST].decode("utf-8"))
        if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
        if document["checksum"] != _checksum(document):
            raise ValueError("its checksum differs: it was changed after it was written")
        label = Label(
            name=str(document["name"]),
            service=str(document["service"]),
            host=str(document["host"]),
            points=tuple(_point(point) for point in document["points"]),
            measured_skew=float(document["measured_skew_seconds"]) if "measured_skew_seconds" in document else None,
            files=tuple(_files(one) for one in document.get("files", ())),
        )
        if not label.points or label.key != key:
            raise ValueError("it describes something else")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LabelInvalid(
            f"The label {key} can't be trusted: {error}.",
            hint="Look at the copy in another repository: lifeboat label --list",
            details={"key": key},
        ) from error
    return label


def point_values(point: LabelPoint) -> dict[str, t.Any]:
    """A point as JSON values."""
    return {
        "source": point.source,
        "engine": point.engine,
        "kind": point.target.kind,
        "value": point.target.value,
        "inclusive": point.target.inclusive,
        "asked": format_time(point.asked),
        "answered": format_time(point.answered),
        "facts": dict(point.facts),
        "host": point.host,
    }


def files_values(files: LabelledFiles) -> dict[str, t.Any]:
    """Files as JSON values."""
    return {
        "source": files.source,
        "kind": files.kind,
        "backup": files.backup_id,
        "finished": format_time(files.finished),
        "manifest_checksum": files.manifest_checksum,
    }


def files_from(documents: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[LabelledFiles, ...]:
    """The inverse of :func:`files_values`, for files that other hosts have. Raises LabelInvalid."""
    return _of_other_hosts(documents, _files, what="Files", given="files")


def points_from(documents: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[LabelPoint, ...]:
    """The inverse of :func:`point_values`, for points that other hosts have made. Raises LabelInvalid."""
    return _of_other_hosts(documents, _point, what="A point", given="points")


def _of_other_hosts(
    documents: t.Sequence[t.Mapping[str, t.Any]],
    read: t.Callable[[t.Mapping[str, t.Any]], _Part],
    *,
    what: str,
    given: str,
) -> tuple[_Part, ...]:
    try:
        return tuple(read(document) for document in documents)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelInvalid(
            f"{what} of the label can't be read: {error!r}.",
            hint=f"Give {given} as the module recovery_label returns them with store: false.",
        ) from error


def _files(document: t.Mapping[str, t.Any]) -> LabelledFiles:
    if not is_backup_id(str(document["backup"])):
        raise ValueError(f"it has files of {document['backup']!r}, which is no backup")
    return LabelledFiles(
        source=str(document["source"]),
        kind=str(document["kind"]),
        backup_id=str(document["backup"]),
        finished=parse_time(document["finished"]),
        manifest_checksum=str(document["manifest_checksum"]),
    )


def _point(document: t.Mapping[str, t.Any]) -> LabelPoint:
    kind, value = str(document["kind"]), str(document["value"])
    if kind not in KINDS:
        raise ValueError(f"it has a point of the kind {kind!r}")
    time = parse_time(value) if kind == "time" else None
    return LabelPoint(
        source=str(document["source"]),
        engine=str(document["engine"]),
        target=RecoveryTarget(kind=kind, value=value, time=time, inclusive=bool(document["inclusive"])),
        asked=parse_time(document["asked"]),
        answered=parse_time(document["answered"]),
        facts=dict(document["facts"]),
        host=str(document.get("host", "")),
    )


def _checksum(document: t.Mapping[str, t.Any]) -> str:
    body = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


#: A database room's way to mark an instant: connection, name, runner -> the target and facts.
Mark = t.Callable[..., tuple[RecoveryTarget, t.Mapping[str, t.Any]]]
