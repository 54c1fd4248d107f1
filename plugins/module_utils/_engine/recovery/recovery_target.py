# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which moment a recovery to a point in time is to reach, checked before anything is touched."""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass

from ..core.clock import format_time
from ..core.errors import RecoveryTargetInvalid
from .target_time import instant_of

#: What a target may be given by. Each engine takes some of them.
KINDS = ("time", "lsn", "xid", "name", "optime", "before_operation", "latest", "immediate")
ACTIONS = ("promote", "pause", "shutdown")
#: Those that need no value.
POINTS = ("latest", "immediate")
_NO_BOUNDARY = ("latest", "immediate", "name")
_MODIFIERS = ("inclusive", "exclusive", "timeline", "action", "skip")
_DOCUMENT = ("kind", "value")
_LSN = re.compile(r"(?:(?P<timeline>[0-9]{1,10})/)?(?P<high>[0-9A-Fa-f]{1,8})/(?P<low>[0-9A-Fa-f]{1,8})")
_OPTIME = re.compile(r"([0-9]{1,10}):([0-9]{1,10})")
_LARGEST_NUMBER = 0xFFFFFFFF
_LARGEST_XID = 0xFFFFFFFFFFFFFFFF
_FIRST_XID = 3  # FirstNormalTransactionId: those below are never given to anybody
_LONGEST_NAME = 63  # MAXFNAMELEN of PostgreSQL, without its final zero


@dataclass(frozen=True)
class RecoveryTarget:
    """One moment of a source.

    *value* is as written ("0/3000148", "before-upgrade", "1763751600:4"), *time* the instant of a ``time`` target
    (aware, UTC). *inclusive*: what happened exactly then is in. *timeline* is "latest", or one by its number; empty:
    as "latest", the newest that contains the target. *skip* holds the positions of operations that are left out
    (MongoDB).
    """

    kind: str
    value: str = ""
    time: datetime.datetime | None = None
    inclusive: bool = True
    timeline: str = ""
    action: str = "promote"
    skip: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values, the form in the ledger; :func:`recovery_target_from` reads it."""
        return {
            "kind": self.kind,
            "value": self.value,
            "inclusive": self.inclusive,
            "timeline": self.timeline,
            "action": self.action,
            "skip": list(self.skip),
        }

    @property
    def text(self) -> str:
        """For people: ``time 2026-11-21T14:03:00Z``, ``latest``."""
        shown = format_time(self.time) if self.time is not None else self.value
        exclusive = "" if self.inclusive else ", exclusive"
        return f"{self.kind} {shown}".strip() + exclusive


def recovery_target_from(document: t.Mapping[str, t.Any], *, now: datetime.datetime) -> RecoveryTarget:
    """Read ``{"time": "2026-11-21T14:03:00Z", "exclusive": true}``, or the form of :meth:`RecoveryTarget.as_dict`.

    *now* is aware. Raises RecoveryTargetInvalid for no target or two, times without a zone, ambiguous or in the future,
    malformed positions, unknown keys and values that contradict one another.
    """
    _refuse_unknown(document)
    kind, given = _kind_and_value(document)
    timeline = _timeline(document.get("timeline"))
    moment = None
    if kind == "time":
        moment = instant_of(given)
        if moment > now:
            raise _invalid(
                f"The time {format_time(moment)} is in the future (it is {format_time(now)}).",
                "For everything that is stored use the target latest (--latest).",
            )
        value = given.strip() if isinstance(given, str) else format_time(moment)
    elif kind in POINTS:
        value = ""
    elif kind == "lsn":
        value, timeline = _lsn(given, timeline)
    else:
        value = _VALUES[kind](given)
    return RecoveryTarget(
        kind=kind,
        value=value,
        time=moment,
        inclusive=_inclusive(document, kind),
        timeline=timeline,
        action=_action(document.get("action")),
        skip=_skip(document.get("skip")),
    )


def _refuse_unknown(document: t.Mapping[str, t.Any]) -> None:
    known = (*_DOCUMENT, *KINDS, *_MODIFIERS)
    unknown = sorted(str(key) for key in document if key not in known)
    if unknown:
        raise _invalid(f"A recovery target has no {', '.join(unknown)}.", f"Known: {', '.join((*KINDS, *_MODIFIERS))}.")


def _kind_and_value(document: t.Mapping[str, t.Any]) -> tuple[str, t.Any]:
    given = [kind for kind in KINDS if document.get(kind) not in (None, False)]
    if document.get("kind") is not None:
        if given:
            raise _two([str(document["kind"]), *given])
        kind = document["kind"]
        if kind not in KINDS:
            raise _invalid(f"There is no target {kind!r}.", f"Use one of: {', '.join(KINDS)}.")
        if kind in POINTS and document.get("value") not in (None, ""):
            raise _invalid(f"The target {kind} takes no value, and {document['value']!r} was given.", "Leave it out.")
        return str(kind), document.get("value")
    if document.get("value") is not None:
        raise _invalid("A value was given without the kind of target that it is for.", f"Use: {', '.join(KINDS)}.")
    if len(given) > 1:
        raise _two(given)
    if not given:
        raise _invalid("The recovery has no target.", f"Give exactly one of: {', '.join(KINDS)}.")
    kind = given[0]
    if kind in POINTS and document[kind] is not True:
        raise _invalid(f"{kind} must be true, not {document[kind]!r}.", f"Write {kind}: true.")
    return kind, document[kind]


def _two(kinds: t.Sequence[str]) -> RecoveryTargetInvalid:
    return _invalid(f"The recovery has several targets: {', '.join(kinds)}.", "Give exactly one of them.")


def _lsn(value: t.Any, timeline: str) -> tuple[str, str]:
    found = _LSN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not (int(found["high"], 16) or int(found["low"], 16)):
        raise _invalid(
            f"{value!r} is no position in the WAL.",
            "Write it as PostgreSQL does: 0/3000148 (SELECT pg_current_wal_lsn()), in YAML in quotes.",
        )
    if found["timeline"] is not None:  # as windows show it
        own = _timeline(found["timeline"])
        if timeline not in ("", "latest", own):
            raise _invalid(
                f"The position {value!r} is of timeline {own}, and timeline {timeline} was asked for.",
                "Leave one of them out.",
            )
        timeline = own
    return f"{int(found['high'], 16):X}/{int(found['low'], 16):X}", timeline


def _xid(value: t.Any) -> str:
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and _FIRST_XID <= int(text) <= _LARGEST_XID):
        raise _invalid(
            f"{value!r} is no transaction's number.",
            "Write it in decimal digits, as SELECT pg_current_xact_id() prints it.",
        )
    return str(int(text))  # PostgreSQL would read 010 as 8


def _name(value: t.Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value.encode()) > _LONGEST_NAME:
        raise _invalid(
            f"{value!r} can't be the name of a restore point.",
            f"Names are printable, at most {_LONGEST_NAME} bytes, as given to pg_create_restore_point('...').",
        )
    return value


def _optime(value: t.Any) -> str:
    found = _OPTIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not int(found[1]) or max(int(found[1]), int(found[2])) > _LARGEST_NUMBER:
        raise _invalid(
            f"{value!r} is no position in the oplog.",
            "Write seconds and number, such as 1763751600:4 (rs.status() shows Timestamp({ t: 1763751600, i: 4 })), "
            "in YAML in quotes.",
        )
    return f"{int(found[1])}:{int(found[2])}"


_VALUES: t.Mapping[str, t.Callable[[t.Any], str]] = {
    "xid": _xid,
    "name": _name,
    "optime": _optime,
    "before_operation": _optime,
}


def _inclusive(document: t.Mapping[str, t.Any], kind: str) -> bool:
    for key in ("inclusive", "exclusive"):
        if not isinstance(document.get(key, False), (bool, type(None))):
            raise _invalid(f"{key} must be true or false, not {document[key]!r}.", f"Write {key}: true.")
    inclusive, exclusive = document.get("inclusive"), document.get("exclusive")
    if None not in (inclusive, exclusive) and inclusive == exclusive:
        raise _invalid("inclusive and exclusive contradict one another.", "Give one of them.")
    found = not exclusive if inclusive is None else bool(inclusive)
    if not found and kind in _NO_BOUNDARY:
        raise _invalid(
            f"The target {kind} can't be exclusive: nothing happens exactly then.", "Leave exclusive out, or use lsn."
        )
    return found


def _timeline(value: t.Any) -> str:
    if value in (None, "", "latest"):
        return str(value or "")
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _LARGEST_NUMBER):
        raise _invalid(f"{value!r} is no timeline.", "Write its number (lifeboat windows shows them), or leave it out.")
    return str(int(text))


def _action(value: t.Any) -> str:
    if value in (None, ""):
        return ACTIONS[0]
    if value not in ACTIONS:
        raise _invalid(f"There is no action {value!r}.", f"Use one of: {', '.join(ACTIONS)}.")
    return str(value)


def _skip(value: t.Any) -> tuple[str, ...]:
    if value in (None, ""):
        return ()
    if isinstance(value, str) or not isinstance(value, t.Sequence):
        raise _invalid(f"skip is a list of positions, not {value!r}.", "Write skip: ['1763751600:4'].")
    return tuple(_skipped(one) for one in value)


def _skipped(value: t.Any) -> str:
    """``1763751600:4``, or ``1763751600:4/2``: the third operation of a transaction's entry."""
    entry, slash, ordinal = value.partition("/") if isinstance(value, str) else (value, "", "")
    if slash and not (ordinal.isascii() and ordinal.isdigit() and int(ordinal) <= _LARGEST_NUMBER):
        raise _invalid(
            f"{value!r} names no operation of the oplog.",
            "Write seconds:number for an entry, seconds:number/2 for the third operation in it.",
        )
    return _optime(entry) + (f"/{int(ordinal)}" if slash else "")


def _invalid(message: str, hint: str) -> RecoveryTargetInvalid:
    return RecoveryTargetInvalid(message, hint=hint)
