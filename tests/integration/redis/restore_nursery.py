# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores in processes of their own, that die just before the change of the disk that a test names.

As a program it is a nursery: for each line of JSON on its standard input it forks a child that runs one restore, waits
for its end, and prints one line: how it ended, and the places that it passed. A forked child need not import anything.

A place is ``<step>.<number>``: ``stop.1`` is before the step is noted as begun, the last one of a step before it is
noted as done; between lie the changes and commands of the step itself. Steps keep their names, so places do not move
when another step changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.recovery.ledger import Ledger
from tests.integration.redis.rig import Restore, Rig
from tests.support.children import environment
from tests.support.resealing import parse_key

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "subprocess.Popen", "os.chmod"}


@dataclass(frozen=True)
class Ending:
    """How a restore ended: *status* as of waitpid (negative: a signal); the places passed, with what was next there."""

    status: int
    places: dict[str, str]

    @property
    def was_killed(self) -> bool:
        """Whether it met the end that was meant for it."""
        return self.status == -signal.SIGKILL


class Nursery:
    """A process that runs restores in children of its own; use as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.redis.restore_nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def run(self, restore: Restore, *, deadly: str = "") -> Ending:
        """Run the restore until it ends, or dies at the place *deadly*; fails the test when it fails by itself."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the nursery is spoken to by pipes")
        wanted = {
            "folder": str(restore.rig.folder),
            "key": restore.place.manifest_key,
            "options": restore.options,
            "restore_id": restore.restore_id,
            "deadly": deadly,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        ending = Ending(**json.loads(self._process.stdout.readline()))
        assert ending.status in (0, -signal.SIGKILL), f"{deadly}: the restore ended with {ending.status}"
        return ending

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_details: object) -> None:
        with self._process:
            self._process.kill()


def _live(wanted: dict[str, str], passed: t.TextIO) -> None:
    """Run the restore in this process, which may not survive it."""
    restore = Restore(
        rig=Rig(folder=pathlib.Path(wanted["folder"])),
        place=parse_key(wanted["key"]).folder,
        options=t.cast("dict[str, t.Any]", wanted["options"]),
        restore_id=wanted["restore_id"],
    )
    restore.rig.source(restore.place)
    where = ["begin", 0]
    intend, close = Ledger.intend, Ledger.close

    def begin(self: Ledger, name: str, facts: t.Any = None) -> None:
        where[:] = [name, 0]
        intend(self, name, facts)

    def end(self: Ledger, state: str, outcome: t.Any = None) -> None:
        where[:] = ["end", 0]
        close(self, state, outcome)

    # Only to know the step; both do what they always do.
    Ledger.intend, Ledger.close = begin, end  # type: ignore[method-assign]

    def look(event: str, arguments: tuple[t.Any, ...]) -> None:
        if event not in _CHANGES or (event == "os.mkdir" and os.path.isdir(arguments[0])):
            return
        where[1] = t.cast("int", where[1]) + 1
        place = f"{where[0]}.{where[1]}"
        passed.write(json.dumps([place, f"{event} {os.path.basename(str(arguments[0]))}"]) + "\n")
        passed.flush()
        if place == wanted["deadly"]:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    restore.run()


def _main() -> None:
    for line in sys.stdin:
        wanted = json.loads(line)
        path = pathlib.Path(wanted["folder"], "passed")
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(KeyboardInterrupt), open(path, "w") as passed:
                try:
                    _live(wanted, passed)
                    status = 0
                finally:
                    if status:
                        sys.excepthook(*t.cast("t.Any", sys.exc_info()))
                    os._exit(status)
        _pid, ended = os.waitpid(child, 0)
        places = dict(json.loads(place) for place in path.read_text().splitlines())
        print(json.dumps({"status": os.waitstatus_to_exitcode(ended), "places": places}), flush=True)


if __name__ == "__main__":
    _main()
