# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``<label>.<id>.pin`` beside a label: somebody's word that it stays within reach, whatever the policies say."""

from __future__ import annotations

import datetime
import json
import typing as t
from dataclasses import dataclass

from ..catalog.manifest import document_checksum
from ..catalog.manifest_fields import Fields, shortened
from ..core.clock import format_time
from ..core.errors import PinInvalid
from ..core.ids import backup_id_time, is_backup_id
from .label import labels_folder

FORMAT, FORMAT_VERSION = "lifeboat-label-pin", 1
SUFFIX = ".pin"


@dataclass(frozen=True)
class LabelPin:
    """Who wants the label to stay within reach, why and until when (None: until it is unpinned). Times are UTC."""

    pin_id: str
    service: str
    label: str
    reason: str
    by: str
    host: str
    made: datetime.datetime
    until: datetime.datetime | None = None

    @property
    def key(self) -> str:
        """Where it lies in a repository."""
        return f"{labels_folder(self.service)}{self.label}.{self.pin_id}{SUFFIX}"

    def as_dict(self) -> dict[str, t.Any]:
        """The document that is stored, checksum included."""
        document: dict[str, t.Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "id": self.pin_id,
            "service": self.service,
            "label": self.label,
            "reason": self.reason,
            "by": self.by,
            "host": self.host,
            "made": format_time(self.made),
            "until": format_time(self.until) if self.until else None,
        }
        document["checksum"] = document_checksum(document)
        return document

    def as_bytes(self) -> bytes:
        """The bytes of the document: indented, for people."""
        text = json.dumps(self.as_dict(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8")


def label_pin_in(key: str) -> tuple[str, str] | None:
    """The label and the pin's id in the key of such a document; None when it is another object."""
    name = key.rpartition("/")[2]
    label, dot, pin_id = name[: -len(SUFFIX)].rpartition(".") if name.endswith(SUFFIX) else ("", "", "")
    return (label, pin_id) if dot and is_backup_id(pin_id) else None


def parse_label_pin(data: bytes, *, key: str) -> LabelPin:
    """Read a document. Raises PinInvalid, and nothing else; what holds then is :func:`unreadable_label_pin`."""
    try:
        document = json.loads(data.decode("utf-8"))
        fields = Fields(document, place="")
        if document.get("format") != FORMAT or document.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"it does not say format: {FORMAT}, format_version: {FORMAT_VERSION}")
        if document_checksum(document) != document.get("checksum"):
            raise ValueError("its checksum differs: it was changed after it was written")
        found = LabelPin(
            pin_id=fields.backup_id("id"),
            service=fields.name("service"),
            label=fields.name("label"),
            reason=fields.text("reason"),
            by=fields.text("by"),
            host=fields.text("host"),
            made=fields.time("made"),
            until=fields.time("until") if fields.given("until") else None,
        )
        if found.key != key:
            raise ValueError("it is about something else")
    except (ValueError, RecursionError) as error:
        service, label = key.partition("/")[0], (label_pin_in(key) or ("LABEL", ""))[0]
        raise PinInvalid(
            f"The pin {key} can't be read, so the label stays within reach: {shortened(str(error))}.",
            hint=f"Pin the label again, and take this one away: lifeboat unpin --label {service}/{label}",
            details={"key": key},
        ) from error
    return found


def unreadable_label_pin(key: str) -> LabelPin:
    """What a pin means that can't be read: the label stays within reach until somebody takes the pin away."""
    label, pin_id = label_pin_in(key) or ("", "")
    return LabelPin(
        pin_id=pin_id,
        service=key.partition("/")[0],
        label=label,
        reason="its document can't be read",
        by="",
        host="",
        made=backup_id_time(pin_id),
    )
