# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of who must approve a failover's plan before it runs."""

from __future__ import annotations

from .schema_parts import Schema, duration, listing, name, number, record, text

SIGNER: Schema = record(
    {
        "name": name("Who it is, in reports, and as the name of what they sign."),
        "key": text("The public key that they sign with: the line of its .pub file."),
        "allowed_signers": text(
            "Instead of key: a file as ssh-keygen reads it (ALLOWED SIGNERS in its manual), for certificates and keys "
            "that change."
        ),
        "principal": text("Under which principal they are in that file; by default their name."),
        "description": text("A note for people."),
    },
    "Somebody who may approve.",
    required=("name",),
    one_of=("key", "allowed_signers"),
)

APPROVALS: Schema = record(
    {
        "needed": number("How many of them must approve.", lowest=1),
        "signers": listing(SIGNER, "Who may approve.", at_least=1),
        "valid_for": {
            **duration("How long an approval holds: until then the failover must have begun."),
            "default": "4h",
        },
        "drill": text(
            "What a drill needs: none at all, or the same approvals.", choices=("none", "same"), default="none"
        ),
        "revoked_keys": text(
            "A file with revoked public keys, or a KRL of ssh-keygen: what they sign counts no more. It must be there."
        ),
    },
    "Who must approve the plan of a failover before it runs; without it nobody must.",
    required=("needed", "signers"),
)
