# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``docs/getting-started.md``: its inventory, its two commands and its look at the host, as they stand there.

Added are the host's address, how ssh gets in, and the page's own option for a host without internet.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.hosts.conftest import StartHosts
from tests.support.children import ROOT
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.root_file_system import wheelhouse
from tests.support.pages import Page, parse_page

pytestmark = pytest.mark.long

_PAGE = ROOT / "docs/getting-started.md"
_INVENTORY = re.compile(r"`(inventories/shop/\S+)`:\n\n```yaml\n(.*?)```", re.DOTALL)
_FIRST = "playbooks/site.yml -i inventories/shop"
# How long it took is printed; only what hangs is ended.
_HANGS = 900


@pytest.fixture(scope="module")
def host(start_hosts: StartHosts) -> Fleet:
    return start_hosts("shop")


def checkout(folder: Path, inventory: str, text: str) -> Path:
    """The project as it is, with an inventory more."""
    for name in ("playbooks", "roles", ".collections", "ansible.cfg"):
        (folder / name).symlink_to(ROOT / name)
    (folder / inventory).parent.mkdir(parents=True)
    (folder / inventory).write_text(text, encoding="utf-8")
    return folder


def without_internet(page: Page) -> Page:
    """The same with the option that the page names for such a host."""
    assert "`-e agent_wheelhouse=FOLDER` to the first command" in _PAGE.read_text(encoding="utf-8")
    more = f"{_FIRST} -e agent_wheelhouse={wheelhouse()}"
    return replace(page, blocks=tuple(replace(one, script=one.script.replace(_FIRST, more)) for one in page.blocks))


def worked(host: Host) -> float:
    """Seconds of the processors that *host* and what was started here have used so far."""
    add = "{all += $12 + $13 + $14 + $15} END {print all}"
    ticks = host.run(f"cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | awk '{add}'")
    mine = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(ticks) / os.sysconf("SC_CLK_TCK") + mine.ru_utime + mine.ru_stime


def test_the_page_makes_a_bare_host_a_protected_one(host: Fleet, tmp_path: Path) -> None:
    text = _PAGE.read_text(encoding="utf-8")
    page = without_internet(parse_page(text, name=_PAGE.name))
    found = _INVENTORY.search(text)
    assert found
    address = yaml.safe_load(found[2])["all"]["hosts"]["shop"]["ansible_host"]
    folder = checkout(tmp_path, found[1], found[2].replace(address, host["shop"].address))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(host.folder / "ansible"),
        "ANSIBLE_PRIVATE_KEY_FILE": str(host.key),
        "ANSIBLE_SSH_ARGS": f"-F none -o UserKnownHostsFile={host.known_hosts}",
    }
    host["shop"].run("for number in 1 2 3; do redis-cli SET key:$number $number; done")
    before, began = worked(host["shop"]), time.monotonic()
    page.run(
        ["2. Two commands"],
        environment=environment,
        timeout=_HANGS,
        shell=host.network.at_controller(["bash"]),
        folder=folder,
    )
    took, load = time.monotonic() - began, os.getloadavg()[1]
    print(f"the two commands: {took:.0f} s, on {os.cpu_count()} processors with a load of {load:.0f};")
    print(f"controller and host used {worked(host['shop']) - before:.0f} s of a processor")
    said = page.run(["3. Look"], environment=os.environ, shell=host["shop"].shell())
    assert 'lifeboat_job_last_success_timestamp_seconds{lifeboat_job="shop/cache/rdb"' in said
    assert "metrics --textfile" in host["shop"].read("/etc/cron.d/lifeboat--metrics")
