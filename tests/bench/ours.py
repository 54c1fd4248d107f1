# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup by our own engine, as a process of its own: ``python -m tests.bench.ours REQUEST.json``.

It runs the operation that modules and the command line run. The last line that it prints is the result.
"""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from .command import Command

_ROOT = Path(__file__).resolve().parents[2]


def ours(
    engine: str,
    kind: str,
    options: t.Mapping[str, t.Any],
    *,
    target: Path,
    repositories: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    **environment: str,
) -> Command:
    """The command that makes one backup into a local repository in *target*, and into further *repositories*."""
    request = {
        "engine": engine,
        "kind": kind,
        "options": dict(options),
        "repositories": {"local": {"type": "file", "path": str(target)}, **(repositories or {})},
        "state_directory": str(target.parent / "state"),
    }
    path = target.parent / "request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    # The engine of this checkout, whatever is installed.
    environment["PYTHONPATH"] = f"{_ROOT}:{_ROOT / 'tools' / 'typing'}"
    return Command(argv=(sys.executable, "-m", "tests.bench.ours", str(path)), target=target, environment=environment)


def main() -> int:
    """Make the backup that the file describes."""
    from lifeboat.catalog.layout import Series
    from lifeboat.core.host import Host
    from lifeboat.operations.backup import run_backup
    from lifeboat.operations.backup_values import BackupRequest, RepositoryRequest
    from lifeboat.operations.kinds import KINDS

    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    request = BackupRequest(
        series=Series(service="bench", source="main", kind=asked["kind"]),
        engine=asked["engine"],
        repositories=tuple(
            RepositoryRequest(name=name, description=description) for name, description in asked["repositories"].items()
        ),
        make_producer=KINDS[asked["engine"], asked["kind"]].factory(asked["options"]),
        state_directory=asked["state_directory"],
    )
    # As the command line does: the progress is taken down while the backup runs.
    shown: list[t.Mapping[str, t.Any]] = []

    def show(snapshot: t.Mapping[str, t.Any]) -> None:
        shown.append(snapshot)

    result = run_backup(request, host=Host(), show=show)
    document = result.as_dict()
    kept = ("id", "state", "stored_bytes", "plain_bytes", "seconds", "stages", "warnings")
    print(json.dumps({"shown": len(shown), **{key: document[key] for key in kept}}))
    return 0 if document["state"] == "complete" else 1


if __name__ == "__main__":
    sys.exit(main())
