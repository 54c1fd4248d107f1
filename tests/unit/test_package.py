# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine is a plain Python package: it imports on every supported Python, alone."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import lifeboat

ENGINE = pathlib.Path(lifeboat.__file__).parent

# What a bare interpreter loads is compared with what is loaded after every file of the engine.
SCRIPT = """
import json, sys
before = set(sys.modules)
for name in json.loads(sys.argv[1]):
    __import__(name)
files = {name: getattr(sys.modules[name], "__file__", None) or "" for name in set(sys.modules) - before}
print(json.dumps(sorted({name.partition(".")[0] for name, file in files.items() if "site-packages" in file})))
"""


def test_every_file_imports_with_nothing_but_the_standard_library() -> None:
    names = [".".join(["lifeboat", *path.relative_to(ENGINE).with_suffix("").parts]) for path in ENGINE.rglob("*.py")]
    modules = sorted(name.removesuffix(".__init__") for name in names)
    modules = [name for name in modules if not name.endswith("__main__")]
    assert len(modules) > 10
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(modules)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "lifeboat", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "backup" in done.stdout
