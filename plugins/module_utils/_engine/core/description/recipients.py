# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a public key of age looks like, as far as that can be told without age."""

from __future__ import annotations

import re

from ..errors import ConfigurationInvalid

_NATIVE_AGE_LENGTH = 62


def check_recipient(recipient: str) -> None:
    """Raise ConfigurationInvalid when *recipient* does not look like a public key of age."""
    if recipient.upper().startswith("AGE-SECRET-KEY"):
        raise ConfigurationInvalid(
            "this is a SECRET key; it must never be on the host that makes backups.",
            hint="Give the public key: age-keygen -y IDENTITY_FILE prints it. Consider the secret one exposed.",
        )
    hint = "Give the line after 'public key:' that age-keygen prints; it begins with age1."
    if not re.fullmatch(r"age1[0-9a-z]{20,}", recipient):
        raise ConfigurationInvalid(f"{recipient[:12]!r}... is not a public key of age.", hint=hint)
    # A second 1 is the mark of a plugin's recipient (age1yubikey1...), whose length is the plugin's business.
    if "1" not in recipient[4:] and len(recipient) != _NATIVE_AGE_LENGTH:
        raise ConfigurationInvalid(
            f"{recipient[:12]!r}... has {len(recipient)} characters and not {_NATIVE_AGE_LENGTH}.", hint=hint
        )
