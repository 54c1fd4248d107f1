# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the schema can't see of approvals: keys that are none, one person twice, more needed than there are."""

from __future__ import annotations

import typing as t

from ..ssh_keys import PublicKey, parse_public_key
from .problems import Problem
from .reading import Entry, entries, mapping, text_at
from .references import unique_name_problems


def approval_problems(service: Entry) -> t.Iterator[Problem]:
    """Everything in the service's ``approvals`` that can't be meant."""
    approvals = mapping(service.data.get("approvals"))
    path = (*service.path, "approvals")
    signers = entries(approvals, path, "signers")
    yield from unique_name_problems(signers)
    keys: dict[PublicKey, str] = {}
    for signer in signers:
        yield from _signer(signer, keys)
    needed = approvals.get("needed")
    if isinstance(needed, int) and signers and needed > len(signers):
        yield Problem(
            (*path, "needed"),
            f"{needed} must approve, and there are {len(signers)} who may.",
            "Name more signers, or need fewer.",
        )
    revoked = text_at(approvals, "revoked_keys")
    if revoked is not None and not revoked.startswith("/"):
        yield Problem((*path, "revoked_keys"), "is not an absolute path.", "Begin it with a slash.")


def _signer(signer: Entry, keys: dict[PublicKey, str]) -> t.Iterator[Problem]:
    text, file = text_at(signer.data, "key"), text_at(signer.data, "allowed_signers")
    if file is not None and not file.startswith("/"):
        yield Problem((*signer.path, "allowed_signers"), "is not an absolute path.", "Begin it with a slash.")
    principal = text_at(signer.data, "principal")
    if principal is not None and file is None:
        yield Problem((*signer.path, "principal"), "is of no use without allowed_signers.", "Take it out.")
    elif principal is not None and (not principal.isprintable() or set(principal) & set(' ,*?!"#')):
        yield Problem(
            (*signer.path, "principal"), "is no single principal.", "Write it as it is in the certificate or the file."
        )
    if text is None:
        return
    try:
        key = parse_public_key(text)
    except ValueError as error:
        yield Problem((*signer.path, "key"), f"{error}.", "Give the line of the .pub file, in quotes.")
        return
    if key in keys:
        yield Problem(
            (*signer.path, "key"), f"is the key of {keys[key]}, too.", "Who approves twice is still one person."
        )
    keys.setdefault(key, text_at(signer.data, "name") or "another signer")
