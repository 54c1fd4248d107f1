# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From "a process of the pipeline failed" to what PostgreSQL's program said about it."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import PipelineFailed
from .child import Said
from .messages import Address, program_error


@contextlib.contextmanager
def named_failures(*, said: Said, address: Address) -> t.Iterator[None]:
    """Raise the named error when a pipeline fails inside and the source's words explain it, else what was raised."""
    try:
        yield
    except PipelineFailed as error:
        named = program_error(said.text, address=address)
        if named is None:
            raise
        raise named from error
