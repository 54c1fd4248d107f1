# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes many thousand runs of the engine's own code fast and repeatable: nothing of it changes what the code does.

Threads of pools run their work at once, documents that were read once are remembered, random ids come from the seed,
and nothing is restored: the source of bytes and the verifier are small stand-ins.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import random
import typing as t
from unittest import mock

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog import copies, folder_content, leftovers
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.catalog.manifest import Manifest
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core import ids
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import CheckFailed
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.progress import Progress
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.operations import (
    backup,
    choosing,
    copy_backup,
    copy_stream,
    increments,
    prune,
    sweep,
    unfinished_removals,
    verify_run,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline import stream
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import (
    Inspection,
    PayloadInput,
    PayloadSink,
    Production,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.verifier import VerifierNeeds
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage import memory
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams import segment_writer
from tests.support.simulation.history import PAYLOADS, payload_bytes

_T = t.TypeVar("_T")


class InlinePool:
    """A pool whose threads are the one that asks."""

    def __init__(self, max_workers: int | None = None) -> None:
        del max_workers

    def submit(self, work: t.Callable[..., _T], *arguments: t.Any) -> concurrent.futures.Future[_T]:
        """Do it now."""
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001 - as in a thread
            future.set_exception(error)
        return future

    def map(self, work: t.Callable[..., _T], *items: t.Iterable[t.Any]) -> t.Iterator[_T]:
        """Do it now, for each."""
        return iter([self.submit(work, *arguments).result() for arguments in zip(*items, strict=False)])

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """Nothing is going on."""

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return


class SeededIds:
    """In place of the module that draws random ids."""

    def __init__(self) -> None:
        self.chance = random.Random(0)

    def token_hex(self, size: int) -> str:
        """As many random bytes."""
        return f"{self.chance.getrandbits(8 * size):0{2 * size}x}"


class Source:
    """A source of a few bytes; in the place of a database."""

    engine = "postgresql"

    def __init__(self, context: t.Any, kind: str) -> None:
        self.kind = kind
        self._backup_id = context.backup_id

    def inspect(self) -> Inspection:
        """See Producer."""
        return Inspection(facts={}, steps=(), expected_bytes=1)

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """See Producer."""
        del progress
        for name in PAYLOADS:
            descriptor = os.memfd_create(name)
            try:
                os.write(descriptor, payload_bytes(self._backup_id, name))
                os.lseek(descriptor, 0, os.SEEK_SET)
                sink.store(PayloadInput(name=name, media="text", file=descriptor))
            finally:
                os.close(descriptor)
        return Production(content={}, restore_commands="cat")


class Checker:
    """Takes every backup for good, but those whose id ends in a digit below three; in the place of a verifier."""

    engine = "postgresql"
    kind = ""

    def __init__(self, context: t.Any) -> None:
        self._backup_id = context.manifest.backup_id

    def inspect(self, *, level: int) -> VerifierNeeds:
        """See Verifier."""
        del level
        return VerifierNeeds(bytes=0)

    def listing(self, **_arguments: object) -> tuple[()]:
        """See Verifier."""
        return ()

    @contextlib.contextmanager
    def scratch(self, **_arguments: object) -> t.Iterator[t.Any]:
        """See Verifier."""
        if self._backup_id[-1] in "012":
            raise CheckFailed("it answers wrongly")
        yield mock.Mock(facts={})


def _remembered(read: t.Callable[..., _T]) -> t.Callable[..., _T]:
    found: dict[tuple[t.Any, ...], _T] = {}

    @functools.wraps(read)
    def remembering(data: bytes, **where: t.Any) -> _T:
        key = (data, *where.values())
        if key not in found:
            if len(found) > 20_000:
                found.clear()
            found[key] = read(data, **where)
        return found[key]

    return remembering


def _as_dict_once(as_dict: t.Callable[[Manifest], dict[str, t.Any]]) -> t.Callable[[Manifest], dict[str, t.Any]]:
    def once(manifest: Manifest) -> dict[str, t.Any]:
        known = manifest.__dict__.get("_as_dict")
        if known is None:
            known = as_dict(manifest)
            object.__setattr__(manifest, "_as_dict", known)
        return dict(known)

    return once


@contextlib.contextmanager
def installed() -> t.Iterator[SeededIds]:
    """Inside of the block the engine takes the shortcuts; what draws its random ids."""
    drawing = SeededIds()

    def opened(description: t.Mapping[str, t.Any], **_surroundings: object) -> t.Any:
        return description["storage"]

    manifest = _remembered(copies.parse_manifest)
    with contextlib.ExitStack() as stack:
        replacements: list[tuple[t.Any, str, t.Any]] = [
            (concurrent.futures, "ThreadPoolExecutor", InlinePool),
            (ids, "secrets", drawing),
            (segment_writer, "secrets", drawing),
            (copy_stream, "secrets", drawing),
            (ids, "_time", functools.lru_cache(maxsize=8192)(ids._time)),
            (leftovers, "parse_key", functools.lru_cache(maxsize=8192)(leftovers.parse_key)),
            (sweep, "parse_key", functools.lru_cache(maxsize=8192)(sweep.parse_key)),
            (memory, "check_key", functools.lru_cache(maxsize=8192)(memory.check_key)),
            (folder_content, "is_note", functools.lru_cache(maxsize=8192)(folder_content.is_note)),
            (folder_content, "removal_id_of", functools.lru_cache(maxsize=8192)(folder_content.removal_id_of)),
            (
                folder_content,
                "verification_id_of",
                functools.lru_cache(maxsize=8192)(folder_content.verification_id_of),
            ),
            (folder_content, "pin_id_of", functools.lru_cache(maxsize=8192)(folder_content.pin_id_of)),
            (stream, "CHUNK", 4096),
            (Manifest, "as_dict", _as_dict_once(Manifest.as_dict)),
            (copies, "parse_manifest", manifest),
            (copies, "parse_verification", _remembered(copies.parse_verification)),
            (copies, "parse_pin", _remembered(copies.parse_pin)),
            (copy_backup, "parse_manifest", manifest),
            (folder_content, "parse_removal", _remembered(folder_content.parse_removal)),
            (increments, "parse_manifest", manifest),
            (unfinished_removals, "parse_manifest", manifest),
            (backup, "open_storage", opened),
            (choosing, "open_storage", opened),
            (prune, "open_storage", opened),
            (verify_run, "verifier_factory", lambda _engine, _kind: lambda _options: Checker),
            (verify_run, "scratch_instance", lambda *_arguments, **_options: contextlib.nullcontext()),
        ]
        for owner, name, replacement in replacements:
            stack.enter_context(mock.patch.object(owner, name, replacement))
        yield drawing
