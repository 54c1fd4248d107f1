# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes constraints.txt: the versions of everything that the pinned requirements bring along.

Run it after a change of a requirement file, with all three environments set up::

    : > constraints.txt && make setup && tools/setup.sh newest && tools/setup.sh py39 && .venv/bin/python tools/lock.py
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
HEAD: t.Final = """\
# What the pinned requirements bring along, pinned too. Written by tools/lock.py; change requirements*.txt instead.
"""


def freeze(environment: str) -> dict[str, str]:
    """Package to version of what is installed in one of the checkout's environments, the engine itself left out."""
    python = ROOT / environment / "bin" / "python"
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check", "--exclude-editable"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    pairs = (line.split("==") for line in listed.splitlines() if "==" in line)
    return {name: version for name, version in pairs if name not in {"pip", "setuptools"}}


def pinned_directly() -> set[str]:
    """Names, in small letters, of the packages that a requirement file pins itself."""
    names = set()
    for path in ROOT.glob("requirements*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "==" in line and not line.startswith("#"):
                names.add(line.split("==", maxsplit=1)[0].strip().lower())
    return names


def constraints() -> list[str]:
    """One line for each package, or two where the oldest Python has another version."""
    main, newest, oldest = freeze(".venv"), freeze(".venv-newest"), freeze(".venv-3.9")
    # Where the two current Pythons differ, the newer one's version has to do for both.
    current = main | newest
    lines = []
    for name in sorted(current.keys() | oldest.keys(), key=str.lower):
        if name.lower() in pinned_directly():
            continue
        if name in current and name in oldest and current[name] != oldest[name]:
            lines.append(f'{name}=={current[name]}; python_version >= "3.10"')
            lines.append(f'{name}=={oldest[name]}; python_version < "3.10"')
        else:
            lines.append(f"{name}=={current.get(name) or oldest[name]}")
    return lines


def main() -> int:
    """Write the file; the exit status."""
    (ROOT / "constraints.txt").write_text(HEAD + "\n".join(constraints()) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
