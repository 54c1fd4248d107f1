# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification of files may be told."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..core.options import flag, refuse_unknown

VERIFIER_KEYS = ("compare_times",)
_OF = "files verification"


@dataclass(frozen=True)
class FilesVerifierOptions:
    """*compare_times* is off for scratch folders on file systems whose times are coarser than those of the source."""

    compare_times: bool = True

    @classmethod
    def from_description(cls, description: t.Mapping[str, t.Any]) -> FilesVerifierOptions:
        """The options of a description. Raises RequestInvalid."""
        refuse_unknown(description, known=VERIFIER_KEYS, of=_OF)
        given = description.get("compare_times")
        return cls(compare_times=given is None or flag(description, "compare_times", of=_OF))
