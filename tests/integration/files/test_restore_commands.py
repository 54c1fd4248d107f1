# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RESTORE.md is run as it stands, with tar, zstd and age alone: everything comes back."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.integration.files.conftest import Site
from tests.support.file_trees import look

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give owners back")
@pytest.mark.parametrize("encrypted", [False, True])
def test_the_commands_bring_everything_back(site: Site, encrypted: bool) -> None:
    recipient = site.key()
    site.describe(
        options={"system_snapshot": True}, **({"encryption": {"recipients": [recipient]}} if encrypted else {})
    )
    before = look(site.tree)
    backup = site.back_up()
    folder = site.folder(backup)
    notes = (folder / "RESTORE.md").read_text()
    blocks = [block for block in _BLOCK.findall(notes) if not block.startswith(("cd ", "export AGE"))]
    compare = next(block for block in blocks if "tar -d" in block)
    one = next(block for block in blocks if "tar -x $FLAGS" in block and str(site.tree).lstrip("/") in block)
    # The one path goes into a folder of its own, since the others are there already.
    blocks[blocks.index(one)] = one.replace('-C "$INTO"', '-C "$ONE"')
    into, only = site.directory / "restored", site.directory / "one"
    only.mkdir()
    done = subprocess.run(
        ["bash", "-euc", "set -o pipefail\n" + "\n".join(block for block in blocks if block != compare)],
        cwd=folder,
        env={**os.environ, "INTO": str(into), "ONE": str(only), "AGE_IDENTITY": str(site.directory / "key")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert look(pathlib.Path(f"{into}{site.tree}")) == before
    assert look(pathlib.Path(f"{only}{site.tree}")) == before
    assert (into / "system" / "kernel.txt").is_file()
    assert f'"path":"{str(site.tree).lstrip("/")}"' in done.stdout


def test_the_comparison_of_the_commands_tells_what_differs(site: Site) -> None:
    backup = site.back_up()
    folder = site.folder(backup)
    (compare,) = [block for block in _BLOCK.findall((folder / "RESTORE.md").read_text()) if "tar -d" in block]
    assert run(compare, folder).returncode == 0
    (site.tree / "server.conf").write_text("other\n")
    differing = run(compare, folder)
    assert differing.returncode == 1
    assert "server.conf" in differing.stdout


def run(script: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    assert shutil.which("tar")
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
