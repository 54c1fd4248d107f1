# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key as a path that age can open."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..core.errors import SecretUnavailable
from ..core.runner import Runner
from ..core.secrets import Secret

# A pipe takes at least a page without a reader (pipe(7)); more than that would wait for one for ever.
_LARGEST_KEY = 4096


@contextlib.contextmanager
def identity_path(identity: Secret, *, runner: Runner) -> t.Iterator[str | None]:
    """The operator's own file, or a pipe that no one else can see; None where no key is given.

    For one reader: a pipe is read once. Raises SecretUnavailable.
    """
    if not identity.is_given:
        yield None
        return
    if identity.file is not None:
        identity.fetch(runner=runner)  # says what is wrong with the file, before age does
        yield identity.file
        return
    key = (identity.fetch(runner=runner) or "").encode("utf-8") + b"\n"
    if len(key) > _LARGEST_KEY:
        raise SecretUnavailable(
            f"{identity.name}: {len(key)} bytes are no private key of age.",
            hint="It is one line, AGE-SECRET-KEY-..., beside comments. A file may hold more: use identity_file.",
        )
    reading, writing = os.pipe()
    try:
        try:
            os.write(writing, key)
        finally:
            os.close(writing)
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
