# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd by its library, in this process: a segment of 16 MiB takes two thirds of the program's processor time."""

from __future__ import annotations

import typing as t

from ..core.errors import PipelineFailed


class Compressing(t.Protocol):
    """One stream on its way through zstd. The interpreter's lock is free meanwhile."""

    def compress(self, data: bytes) -> bytes:
        """Take *data*; what there is of the compressed stream so far, often nothing. Raises PipelineFailed."""

    def flush(self) -> bytes:
        """The rest, once, at the end. Raises PipelineFailed."""


def begin_compressing(level: int) -> Compressing | None:
    """A new stream with a checksum, as the program makes it; None where this Python has no library ``zstandard``."""
    try:
        import zstandard
    except ImportError:
        return None
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return _ByLibrary(compressor, zstandard.ZstdError)


class _ByLibrary:
    def __init__(self, compressor: Compressing, error: type[Exception]) -> None:
        self._compressor = compressor
        self._error = error

    def compress(self, data: bytes) -> bytes:
        return self._run(lambda: self._compressor.compress(data))

    def flush(self) -> bytes:
        return self._run(self._compressor.flush)

    def _run(self, step: t.Callable[[], bytes]) -> bytes:
        try:
            return step()
        except self._error as error:
            raise PipelineFailed(
                f"The library zstandard failed: {error}.",
                hint="The segment stays in the spool. Without the library the program does it: pip uninstall zstandard",
                details={"process": "zstandard", "error": str(error)},
            ) from error
