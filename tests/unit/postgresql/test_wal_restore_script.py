# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``restore_command`` and the read-ahead behind it: trouble is never the end of the archive.

The fetching itself is a copy from a folder, in which faults are injected.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import shutil
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass, field

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.clock import SystemClock
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.errors import (
    DecryptionFailed,
    IdentityMissing,
    LifeboatError,
    PipelineFailed,
    RecoveryTargetUnreachable,
    StorageCredentialsMissing,
    StorageError,
    StorageForbidden,
    StorageUnreachable,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.core.journal import MemoryJournal
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.pipeline.producer import StoredPayload
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_fetcher import (
    FetcherLimits,
    WalFetcher,
    remove_cache,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_names import (
    segment_name,
    wal_name,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.postgresql.wal_restore_script import (
    CacheSettings,
    restore_command,
    write_cache_settings,
    write_restore_script,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.segment import (
    Segment,
    SegmentDescription,
)
from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.streams.stream import StoredSegment
from tests.support.waiting import wait_for

SIZE = 4096  # what a segment weighs here; the script compares it with what it was told
MIB = 1024 * 1024
HISTORY = "00000002.history"


def name_of(number: int) -> str:
    return segment_name(timeline=1, number=number, segment_size=MIB)


def stored(name: str) -> StoredSegment:
    payload: StoredPayload = t.cast("t.Any", None)  # the copying below needs the name only
    moment = datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc)
    description = SegmentDescription(name, wal_name(name).group, "WAL", None, None)
    return StoredSegment(Segment(description, payload, "00", moment), {})


@dataclass
class Shop:
    """Where segments come from. *trouble* names those that fail with *kind*, and how often; -1 is for ever."""

    folder: pathlib.Path
    trouble: dict[str, int] = field(default_factory=dict)
    kind: type[LifeboatError] = StorageUnreachable
    fetched: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, content: bytes | None = None) -> None:
        (self.folder / name).write_bytes(name.encode().ljust(SIZE, b".") if content is None else content)

    def fetch(self, segment: StoredSegment, path: str) -> None:
        name = segment.segment.name
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            left = self.trouble.get(name, 0)
            if left:
                self.trouble[name] = left - 1 if left > 0 else left
                raise self.kind(f"the repository does not answer for {name}")
            shutil.copyfile(self.folder / name, path)
            self.fetched.append(name)
        finally:
            with self.lock:
                self.at_once -= 1


@dataclass(frozen=True)
class Rig:
    folder: pathlib.Path
    shop: Shop

    @property
    def cache(self) -> pathlib.Path:
        return self.folder / "cache"

    @property
    def target(self) -> pathlib.Path:
        return self.folder / "RECOVERYXLOG"

    def fetcher(
        self, *, numbers: t.Iterable[int] = range(3, 13), ahead: int = 3, wait_seconds: int = 20, workers: int = 2
    ) -> WalFetcher:
        return WalFetcher(
            cache=str(self.cache),
            planned=[stored(name_of(number)) for number in numbers],
            others=[stored(HISTORY)],
            fetch=self.shop.fetch,
            clock=SystemClock(),
            journal=MemoryJournal(),
            segment_size=SIZE,
            limits=FetcherLimits(ahead=ahead, workers=workers, wait_seconds=wait_seconds),
        )

    def ask(self, name: str) -> subprocess.CompletedProcess[str]:
        """As PostgreSQL asks. Afterwards the file is where it wanted it, or is not."""
        with contextlib.suppress(FileNotFoundError):
            self.target.unlink()
        return subprocess.run(
            ["sh", str(self.folder / "fetch-wal"), str(self.cache), name, "RECOVERYXLOG"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def expect(self, name: str) -> None:
        done = self.ask(name)
        assert (done.returncode, done.stderr) == (0, "")
        assert self.target.read_bytes() == (self.shop.folder / name).read_bytes()

    def cached(self) -> list[str]:
        """The whole segments in the cache."""
        return sorted(path.name for path in self.cache.iterdir() if len(path.name) == 24)


@pytest.fixture
def rig(tmp_path: pathlib.Path) -> Rig:
    shop = Shop(folder=tmp_path / "shop")
    shop.folder.mkdir()
    for number in range(3, 13):
        shop.put(name_of(number))
    shop.put(HISTORY, b"1\t0/300100\tx\n")
    made = Rig(folder=tmp_path, shop=shop)
    made.cache.mkdir()
    write_restore_script(str(tmp_path / "fetch-wal"))
    return made


# --- the read-ahead ---------------------------------------------------------------------------------------------------


def test_the_next_ones_are_there_before_they_are_asked_for(rig: Rig) -> None:
    with rig.fetcher() as fetcher:
        wait_for(lambda: rig.cached() == [name_of(number) for number in (3, 4, 5)])
        rig.expect(name_of(3))
        wait_for(lambda: rig.cached() == [name_of(number) for number in (4, 5, 6)])
        for number in range(4, 13):
            rig.expect(name_of(number))
        wait_for(lambda: fetcher.taken == 10)
        assert fetcher.problem is None
    assert sorted(rig.shop.fetched) == sorted(set(rig.shop.fetched))
    assert rig.shop.most_at_once <= 3


def test_a_server_that_begins_anew_is_followed_back(rig: Rig) -> None:
    with rig.fetcher():
        for number in (3, 4, 5, 6, 7):
            rig.expect(name_of(number))
        for number in (4, 5, 6):
            rig.expect(name_of(number))
        wait_for(lambda: rig.cached() == [name_of(number) for number in (7, 8, 9)])


def test_a_server_that_begins_later_is_followed_forward(rig: Rig) -> None:
    with rig.fetcher():
        wait_for(lambda: len(rig.cached()) == 3)
        rig.expect(name_of(9))
        wait_for(lambda: rig.cached() == [name_of(number) for number in (10, 11, 12)])


def test_files_out_of_order_come_and_what_nobody_names_is_certainly_missing(rig: Rig) -> None:
    with rig.fetcher():
        rig.expect(HISTORY)
        for name in ("00000001.history", "00000003.history", name_of(13), name_of(2), "000000020000000000000004"):
            assert rig.ask(name).returncode == 1, name
            assert not rig.target.exists()
        rig.expect(name_of(3))
    assert not [path.name for path in rig.cache.iterdir() if path.name.startswith(("missing-", "want-"))]


def test_a_fetch_that_fails_for_a_while_is_only_late(rig: Rig) -> None:
    rig.shop.trouble = {name_of(3): 2, name_of(5): 1, HISTORY: 1}
    with rig.fetcher():
        rig.expect(HISTORY)
        for number in range(3, 7):
            rig.expect(name_of(number))


@pytest.mark.thorough
def test_a_fetch_that_goes_on_failing_ends_with_255_and_its_reason(rig: Rig) -> None:
    rig.shop.trouble = {name_of(4): -1, HISTORY: -1}
    with rig.fetcher(wait_seconds=1) as fetcher:
        rig.expect(name_of(3))
        for name in (name_of(4), HISTORY):
            done = rig.ask(name)
            assert done.returncode == 255
            assert f"the repository does not answer for {name}" in done.stderr
            assert not rig.target.exists()
        assert isinstance(fetcher.problem, StorageUnreachable)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name_of(4), DecryptionFailed),
        (HISTORY, IdentityMissing),
        (name_of(9), RecoveryTargetUnreachable),
        (HISTORY, StorageCredentialsMissing),
        (name_of(4), StorageForbidden),
    ],
)
def test_what_waiting_does_not_mend_ends_with_255_at_once(rig: Rig, name: str, kind: type[LifeboatError]) -> None:
    rig.shop.trouble, rig.shop.kind = {name: -1}, kind
    with rig.fetcher(wait_seconds=45) as fetcher:
        rig.expect(name_of(3))
        began = time.monotonic()
        done = rig.ask(name)
        assert time.monotonic() - began < 20
        assert done.returncode == 255
        assert f"can't be had: the repository does not answer for {name}" in done.stderr
        assert not rig.target.exists()
        assert not (rig.cache / f"want-{name}").exists()  # nobody waits for it any more
        assert fetcher.problem is None or isinstance(fetcher.problem, kind)
        # Whoever has mended it asks again, and is not told what was true before.
        rig.shop.trouble = {}
        rig.expect(name)
    assert not [path.name for path in rig.cache.iterdir() if path.name.startswith("hopeless-")]


@pytest.mark.parametrize("kind", [PipelineFailed, StorageError, StorageUnreachable])
def test_what_may_pass_is_waited_for(rig: Rig, kind: type[LifeboatError]) -> None:
    rig.shop.trouble, rig.shop.kind = {name_of(3): -1}, kind
    with rig.fetcher(wait_seconds=1):
        done = rig.ask(name_of(3))
        assert done.returncode == 255
        assert "did not come within 1 seconds" in done.stderr


def test_a_refusal_that_is_not_repeated_is_only_late(rig: Rig) -> None:
    with rig.fetcher():
        wait_for(lambda: len(rig.cached()) == 3)
        rig.shop.trouble, rig.shop.kind = {name_of(9): 1}, StorageForbidden
        rig.expect(name_of(9))


def test_a_short_file_is_thrown_away_and_fetched_again(rig: Rig) -> None:
    with rig.fetcher():
        wait_for(lambda: len(rig.cached()) == 3)
        (rig.cache / name_of(3)).write_bytes(b"half")
        done = rig.ask(name_of(3))
        assert done.returncode == 0
        assert "has 4 bytes instead of 4096" in done.stderr
        assert rig.target.read_bytes() == (rig.shop.folder / name_of(3)).read_bytes()


def test_what_another_plan_left_is_not_believed(rig: Rig) -> None:
    (rig.cache / name_of(3)).write_bytes(b"o" * SIZE)
    (rig.cache / f"missing-{name_of(4)}").touch()
    with rig.fetcher():
        rig.expect(name_of(3))
        (rig.cache / f"missing-{name_of(4)}").touch()
        rig.expect(name_of(4))


def test_the_last_word_is_the_end_of_the_process_that_answers(rig: Rig) -> None:
    with rig.fetcher():
        rig.expect(name_of(3))
        wait_for(lambda: name_of(4) in rig.cached())
    rig.expect(name_of(4))  # it is there
    write_cache_settings(str(rig.cache), CacheSettings(wait_seconds=0))
    done = rig.ask(name_of(12))
    assert done.returncode == 255
    assert "no process answers" in done.stderr
    assert rig.ask("00000009.history").returncode == 255


def test_one_that_comes_back_answers_who_waits(rig: Rig) -> None:
    waiting = threading.Thread(target=lambda: answers.append(rig.ask(name_of(7)).returncode))
    answers: list[int] = []
    waiting.start()
    wait_for((rig.cache / f"want-{name_of(7)}").exists)
    with rig.fetcher():
        waiting.join(timeout=30)
    assert answers == [0]


def test_the_cache_belongs_to_the_server(rig: Rig) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(rig.cache, 65534, 65534)
    with rig.fetcher():
        wait_for(lambda: len(rig.cached()) == 3)
        assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in rig.cache.glob("0*")} == {(65534, 0o600)}


def test_a_cache_that_breaks_is_told(rig: Rig) -> None:
    with rig.fetcher(numbers=()) as fetcher:
        remove_cache(str(rig.cache))
        wait_for(lambda: fetcher.problem is not None)
        assert isinstance(fetcher.problem, FileNotFoundError)
    assert rig.ask(name_of(3)).returncode == 255
    remove_cache(str(rig.cache))


# --- a standby, where no process reads ahead --------------------------------------------------------------------------


def fetching_with(rig: Rig, body: str, *, wait_seconds: int = 0) -> None:
    program = rig.folder / "program"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    settings = CacheSettings(wait_seconds=wait_seconds, segment_size=SIZE, fetch=(str(program), "family/main"))
    write_cache_settings(str(rig.cache), settings)


def test_the_command_of_a_standby_brings_it(rig: Rig) -> None:
    fetching_with(rig, f'[ "$1" = family/main ] && cp "{rig.shop.folder}/$2" "$3"')
    rig.expect(name_of(3))
    rig.expect(HISTORY)
    assert [path.name for path in rig.cache.iterdir()] == [".settings"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("exit 3", 1),
        ("exit 0", 255),  # it says that it is there, and it is not
        ("exit 1", 255),
        ("exit 2", 255),
        ("exit 74", 255),
        ("exit 127", 255),
        ("kill -9 $$", 255),
        ('echo short >"$3"; exit 0', 255),
    ],
)
def test_only_one_answer_of_the_command_means_that_there_is_none(rig: Rig, body: str, status: int) -> None:
    fetching_with(rig, body)
    assert rig.ask(name_of(3)).returncode == status
    assert not rig.target.exists()
    assert [path.name for path in rig.cache.iterdir()] == [".settings"]


def test_a_command_that_fails_at_first_is_tried_again(rig: Rig) -> None:
    tried = rig.folder / "tried"
    body = f'[ -e "{tried}" ] || {{ touch "{tried}"; exit 1; }}; cp "{rig.shop.folder}/$2" "$3"'
    fetching_with(rig, body, wait_seconds=5)
    done = rig.ask(name_of(3))
    assert done.returncode == 0
    assert "ended with status 1" in done.stderr


@pytest.mark.parametrize("status", [77, 78])
def test_a_command_that_may_not_or_can_not_is_not_asked_again(rig: Rig, status: int) -> None:
    tried = rig.folder / "tried"
    fetching_with(rig, f'echo once >>"{tried}"; exit {status}', wait_seconds=45)
    done = rig.ask(name_of(3))
    assert done.returncode == 255
    assert f"ended with status {status}, and waiting helps nobody" in done.stderr
    assert tried.read_text() == "once\n"


def test_a_process_that_reads_ahead_is_asked_before_the_command(rig: Rig) -> None:
    with rig.fetcher():
        wait_for(lambda: len(rig.cached()) == 3)
        fetching_with(rig, "exit 3", wait_seconds=20)
        rig.expect(name_of(9))


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "x", "00000001000000000000000g", "../../etc/passwd", "RECOVERYXLOG"])
def test_other_names_end_with_255(rig: Rig, name: str) -> None:
    assert rig.ask(name).returncode == 255


def test_a_call_that_can_t_be_ends_with_255(rig: Rig) -> None:
    done = subprocess.run(["sh", str(rig.folder / "fetch-wal"), "x"], capture_output=True, timeout=30, check=False)
    assert done.returncode == 255


def test_paths_are_quoted_for_the_servers_shell() -> None:
    assert restore_command(script="/a b/fetch-wal", cache="/c/100%") == "'/a b/fetch-wal' /c/100%% %f %p"


@pytest.mark.parametrize("word", ["", "a b", "x;y", "$HOME"])
def test_a_word_that_the_script_would_take_apart_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="can't be a word"):
        CacheSettings(fetch=("lifeboat", word))
