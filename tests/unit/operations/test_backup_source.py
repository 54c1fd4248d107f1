# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source that fails, in whatever way, leaves nothing behind."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    ManifestInvalid,
    PipelineFailed,
    RequestInvalid,
    StorageAllFailed,
    StorageUnreachable,
    ToolMissing,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.base import ObjectInfo
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.faulty import FaultyStorage
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.storage.local import LocalStorage
from tests.support.backups import broken_payloads, leftovers, listed
from tests.support.bench import Bench, faulty
from tests.support.manifests import unreachable
from tests.support.memory import MemoryStorage


def broken(error: BaseException) -> t.Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"script": "head -c 1500000 data; exit 3"}, PipelineFailed),
        ({"script": "head -c 1500000 data; kill -9 $$"}, PipelineFailed),
        ({"script": "cat data; exit 1"}, PipelineFailed),
        ({"finish": broken(StorageUnreachable("the server went away"))}, StorageUnreachable),
        ({"finish": broken(RuntimeError("a bug"))}, RuntimeError),
        ({"finish": broken(KeyboardInterrupt())}, KeyboardInterrupt),
        ({"content": {"rate": float("nan")}}, ManifestInvalid),
        ({"content": {"rate": object()}}, ManifestInvalid),
        ({"content": {"name": "half a character: \ud800"}}, ManifestInvalid),
        ({"content": {10: "ten", 9: "nine"}}, ManifestInvalid),
        ({"restore_commands": "{fetch:what}"}, ValueError),
    ],
)
def test_a_source_that_fails_in_whatever_way_leaves_nothing_behind(
    bench: Bench, change: dict[str, t.Any], error: type[BaseException]
) -> None:
    bench.storages["local"] = LocalStorage(path=str(bench.folder / "repository"), create=True)
    for name, value in change.items():
        setattr(bench.source, name, value)
    with pytest.raises(error):
        bench.run()
    for storage in bench.storages.values():
        assert listed(storage) == []
        assert leftovers(storage) == []
    assert os.listdir(bench.folder / "repository") == []
    assert bench.records[-1]["state"] == "failed"
    bench.assert_idle()


def test_a_source_that_refuses_to_be_inspected_is_an_error_before_any_repository_is_touched(bench: Bench) -> None:
    def refuse() -> t.NoReturn:
        raise RequestInvalid("not like this")

    bench.source.inspect = refuse  # type: ignore[method-assign]
    for name in bench.storages:
        bench.storages[name] = faulty()
    with pytest.raises(RequestInvalid):
        bench.run()
    assert [storage.calls for storage in bench.storages.values() if isinstance(storage, FaultyStorage)] == [[], []]
    assert bench.records[-1]["error"]["code"] == "request.invalid"


def test_a_missing_program_is_an_error_before_any_repository_is_touched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> t.NoReturn:
        raise ToolMissing(f"no {name}")

    monkeypatch.setattr(
        "ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.transforms.find_program", missing
    )
    bench.storages["far"] = far = faulty()
    with pytest.raises(ToolMissing):
        bench.run()
    assert far.calls == []


def test_what_can_not_be_cleaned_up_after_a_failure_is_said_and_swept_by_the_next_run(bench: Bench) -> None:
    class Sticky(MemoryStorage):
        """Deletes nothing while *stuck*."""

        stuck = True

        def delete(self, keys: t.Sequence[str]) -> t.Any:
            if self.stuck:
                raise StorageUnreachable("not now")
            return super().delete(keys)

    bench.storages["far"] = far = Sticky()
    bench.source.script = "cat data; exit 1"
    with pytest.raises(PipelineFailed):
        bench.run()
    assert any("stays for the next run to remove: not now" in warning for warning in bench.journal.warnings)
    assert listed(far) == []
    assert len(leftovers(far)) == 1
    far.stuck = False
    bench.source.script = "cat data"
    bench.run()
    assert leftovers(far) == []
    assert any("far: removed 1 leftovers of runs that died" in message for message in bench.journal.infos)


def test_where_the_answer_to_the_manifest_was_lost_nothing_is_removed_although_the_run_fails(bench: Bench) -> None:
    """The backup may be there, and is then whole."""

    class Losing(MemoryStorage):
        """Stores the manifest and loses the answer."""

        def put(self, key: str, data: bytes, *, if_absent: bool = True) -> ObjectInfo:
            stored = super().put(key, data, if_absent=if_absent)
            if key.endswith("/manifest.json"):
                unreachable()
            return stored

    bench.storages = {"near": Losing(), "far": Losing()}
    with pytest.raises(StorageAllFailed):
        bench.run()
    for storage in bench.storages.values():
        assert len(listed(storage)) == 1
        assert broken_payloads(storage) == []
        assert leftovers(storage) == []


def test_an_upload_that_could_not_be_aborted_keeps_the_note_of_whose_it_is(bench: Bench) -> None:
    class Sticky(MemoryStorage):
        """Aborts no upload while *stuck*."""

        stuck = True

        def forget(self, token: str) -> None:
            if not self.stuck:
                super().forget(token)

    bench.storages["far"] = far = Sticky()
    bench.source.script = "cat data; exit 1"
    with pytest.raises(PipelineFailed):
        bench.run()
    assert [left.rpartition("/")[2] for left in leftovers(far)] == ["started.json", "process.zst"]
    far.stuck = False
    bench.source.script = "cat data"
    bench.run()
    assert leftovers(far) == []
