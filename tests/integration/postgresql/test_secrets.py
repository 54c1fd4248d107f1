# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The password is in no command line, no message, no manifest and no page of commands."""

from __future__ import annotations

import json
import logging
import threading
import time
import typing as t
from pathlib import Path

import pytest

from sandbox.postgresql import PostgreSQLServer
from tests.integration.postgresql.folder_sink import FolderSink
from tests.integration.postgresql.load import SCRIPT
from tests.integration.postgresql.rig import SECRET, base_producer, database, logical_producer


@t.final
class Watcher:
    """Reads the command line of every process, again and again; *programs* says whom it saw."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.programs: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                self.programs.add(command.split(b"\0")[0].decode("utf-8", "replace").rsplit("/", 1)[-1])
                if SECRET.encode() in command:
                    self.found.add(command.decode("utf-8", "replace"))
            time.sleep(0.01)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()


def test_no_secret_anywhere(server: PostgreSQLServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def slowly(_payload: str) -> None:
        time.sleep(0.05)

    words: list[str] = []
    with database(server, "watched", script=SCRIPT), Watcher() as watcher:
        for number, (producer, journal) in enumerate(
            [
                logical_producer(server, databases=["watched"]),
                logical_producer(
                    server, databases=["watched"], format="directory", jobs=2, scratch_directory=str(scratch)
                ),
                base_producer(server, state_directory=tmp_path / "state", keep_manifest=False, max_rate="40M"),
                base_producer(server, state_directory=tmp_path / "state", keep_manifest=True, max_rate="40M"),
            ]
        ):
            inspection = producer.inspect()
            sink = FolderSink(tmp_path / str(number), on_data=slowly)
            production = producer.produce(sink=sink, progress=sink.progress)
            words += [
                json.dumps(inspection.facts),
                *inspection.steps,
                json.dumps(production.content),
                production.restore_commands,
                *journal.infos,
                *journal.warnings,
                repr(producer.__dict__),
            ]
    assert {"pg_dump", "pg_basebackup"} <= watcher.programs, "it saw what it should watch"
    assert watcher.found == set()
    assert SECRET not in "\n".join(words)
    assert SECRET not in caplog.text
