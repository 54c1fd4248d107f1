# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody signs about the plan of a failover: a small document that fits one plan of one service, and its form.

It names the service, the kind, the plan's SHA-256, who signs and until when that holds. So a signature can't be
used for another plan, another service, or for ever. What is signed is its one canonical form, so whatever lies around
it in a file, in whatever order, is not part of it.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ..core.clock import parse_time
from ..core.errors import FailoverApprovalInvalid
from ..core.ids import is_name
from .entry import failovers_folder
from .plan import FailoverPlan

Json = t.Mapping[str, t.Any]

FORMAT, FORMAT_VERSION = "lifeboat-failover-approval", 1
#: ssh-keygen's namespace: what was signed for git, mail or files is no approval.
NAMESPACE = "lifeboat-failover"
APPROVE, WITHDRAW = "approve", "withdraw"
LARGEST = 64 * 1024
#: How the names of plans begin beside the approvals of them.
PLAN = ".plan"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z][a-z0-9-]{0,62}")
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----\n", "\n-----END SSH SIGNATURE-----"
_ARMOUR = re.compile(r"[A-Za-z0-9+/=\n]+")


@dataclass(frozen=True)
class Statement:
    """What is signed. *says* is approve or withdraw; a withdrawal, of all that was signed before it, has no *until*."""

    says: str
    service: str
    kind: str
    plan_sha256: str
    signer: str
    made: str
    until: str

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "says": self.says,
            "service": self.service,
            "kind": self.kind,
            "plan_sha256": self.plan_sha256,
            "signer": self.signer,
            "made": self.made,
            "until": self.until,
        }

    def as_bytes(self) -> bytes:
        """The bytes that the signature is over: keys in order, no blanks, one newline at the end."""
        return (json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")


@dataclass(frozen=True)
class Signed:
    """A statement with its signature, as ssh-keygen writes it. Nothing is known of it before it was verified."""

    statement: Statement
    signature: str
    where: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, t.Any]:
        """As JSON values."""
        return {"statement": self.statement.as_dict(), "signature": self.signature}

    def as_bytes(self) -> bytes:
        """The bytes of the stored object, and of a file."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode("ascii")


def statement_about(plan: FailoverPlan, *, says: str, signer: str, made: str, until: str) -> Statement:
    """What *signer* says about *plan*."""
    return Statement(
        says=says,
        service=plan.service,
        kind=plan.kind,
        plan_sha256=plan.fingerprint,
        signer=signer,
        made=made,
        until=until,
    )


def parse_signed(document: t.Any, *, where: str = "") -> Signed:
    """The inverse of :meth:`Signed.as_dict`; bytes are read as JSON. Raises FailoverApprovalInvalid."""
    try:
        if isinstance(document, bytes):
            if len(document) > LARGEST:
                raise ValueError("it is too large")
            document = json.loads(document.decode("utf-8"))
        if set(document) != {"statement", "signature"}:
            raise ValueError("it is not a statement with a signature")
        statement = _statement(document["statement"])
        return Signed(statement=statement, signature=_signature(document["signature"]), where=where)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FailoverApprovalInvalid(
            f"The approval{' ' + where if where else ''} can't be read: {error}.",
            hint="Have it made again: lifeboat failover approve --plan SHA256 --key KEY",
            details={"where": where},
        ) from error


def is_sha256(text: str) -> bool:
    """Whether *text* is the whole of a SHA-256, as this product writes it; the beginning of one names nothing."""
    return _SHA256.fullmatch(text) is not None


def approvals_folder(service: str, plan_sha256: str = "") -> str:
    """The key prefix of all approvals of a service, or of those of one plan."""
    return f"{failovers_folder(service)}.approvals/" + (f"{plan_sha256}/" if plan_sha256 else "")


def plan_key(service: str, plan_sha256: str, *, number: int = 1) -> str:
    """Where the plan lies that approvals are asked for; no signer can have that name."""
    return f"{approvals_folder(service, plan_sha256)}{PLAN}{'' if number == 1 else f'+{number}'}.json"


def signed_key(statement: Statement, *, number: int = 1) -> str:
    """Where it is kept. A later one of the same person has a *number*, and a sign in it that no name can have."""
    folder = approvals_folder(statement.service, statement.plan_sha256)
    withdrawn = ".withdrawn." if statement.says == WITHDRAW else ""
    return f"{folder}{withdrawn}{statement.signer}{'' if number == 1 else f'+{number}'}.json"


def _statement(document: Json) -> Statement:
    if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
        raise ValueError(f"its format is {document['format']!r} {document['format_version']!r}")
    texts = {key: value for key, value in document.items() if key not in ("format", "format_version")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise ValueError("a part of it is no text")
    statement = Statement(**texts)
    if statement.says not in (APPROVE, WITHDRAW):
        raise ValueError(f"it says {statement.says[:20]!r}")
    if not (is_name(statement.service) and is_name(statement.signer) and _KIND.fullmatch(statement.kind)):
        raise ValueError("a name in it is none")
    if not is_sha256(statement.plan_sha256):
        raise ValueError("it does not name a plan by the whole of its SHA-256")
    for time in (statement.made, *([statement.until] if statement.says == APPROVE else [])):
        parse_time(time)
    if statement.says == WITHDRAW and statement.until:
        raise ValueError("a withdrawal has no end")
    return statement


def _signature(given: t.Any) -> str:
    if not isinstance(given, str) or not given.isascii():
        raise ValueError("its signature is no text")
    text: str = given.strip() + "\n"
    inner = text[len(_BEGIN) : -len(_END) - 1]
    if text != _BEGIN + inner + _END + "\n" or not _ARMOUR.fullmatch(inner):
        raise ValueError("its signature is none of ssh-keygen")
    return text
