# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts themselves: what they can do for tests, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.conftest import StartHosts
from tests.support.children import ROOT, child, line_of
from tests.support.hosts.fleet import Fleet, fleet, sweep
from tests.support.hosts.playing import inventory, play
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("able_machine")
_KILLED = """
import sys
from tests.support.hosts.fleet import fleet
with fleet("doomed") as hosts:
    print(hosts.folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def pair(start_hosts: StartHosts) -> Fleet:
    return start_hosts("one", "two")


def traces(folder: Path) -> list[str]:
    """What names the folder on this machine: processes, mounts, and the folder itself."""
    found = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                root = os.readlink(entry / "root")
            except OSError:
                continue
            if str(folder) in command or str(folder) in root:
                found.append(command)
    return found + ([str(folder)] if folder.exists() else [])


def test_hosts_are_whole(pair: Fleet) -> None:
    for name, host in pair.hosts.items():
        assert host.run("hostname; systemctl is-system-running; systemctl is-active ssh cron").split() == [
            name,
            "running",
            "active",
            "active",
        ]
        assert host.run("psql -XAtc 'SELECT 1'", user="postgres") == "1\n"
        assert host.run("redis-cli PING") == "PONG\n"
    assert pair["one"].run("cat /etc/machine-id") != pair["two"].run("cat /etc/machine-id")


def test_a_fresh_host_has_nothing_of_lifeboat_but_the_libraries_it_needs(pair: Fleet) -> None:
    found = pair["two"].run("find / -xdev -iname '*lifeboat*'; command -v lifeboat || true")
    assert found.split() == ["/opt/lifeboat-libraries"]


def test_hosts_reach_each_other_by_name_and_nobody_else(pair: Fleet) -> None:
    reach = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/22; head -c 4 <&3'"
    assert pair["one"].run(reach.format("two")) == "SSH-"
    routes = pair["one"].run("ip -o route").splitlines()
    assert len(routes) == 1
    assert "192.0.2.0/24 dev eth0" in routes[0]


def test_files_and_folders_come_in(pair: Fleet, tmp_path: Path) -> None:
    host = pair["one"]
    host.write("/srv/new/secret file", "ä\n", owner="redis")
    assert host.run("stat -c '%a %U' '/srv/new/secret file'") == "600 redis\n"
    assert host.read("/srv/new/secret file") == "ä\n"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(bytes(range(256)))
    host.copy_into(tmp_path / "folder", "/srv/copied")
    assert host.run("stat -c '%s %U' /srv/copied/folder/file") == "256 root\n"
    failed = host.attempt("echo said; echo why >&2; exit 7")
    assert (failed.returncode, failed.stdout, failed.stderr) == (7, "said\n", "why\n")
    with pytest.raises(AssertionError, match="why"):
        host.run("echo why >&2; exit 7")


def test_ansible_reaches_every_host_and_an_unknown_key_is_refused(pair: Fleet, tmp_path: Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.setup: {gather_subset: ['!all', min]}\n"
        '    - ansible.builtin.debug: {msg: "{{ inventory_hostname }} is {{ ansible_facts.hostname }}"}\n'
    )
    played = play(pair, playbook, inventory=inventory(pair))
    assert played.status == 0, played.output
    assert "one is one" in played.output
    assert "two is two" in played.output

    known = pair.known_hosts.read_text()
    pair.known_hosts.write_text(known.replace(pair["one"].address, "192.0.2.99"))
    closed = inventory(pair, of_all={"ansible_control_path_dir": str(pair.folder / "cp" / "none")})
    try:
        refused = play(pair, playbook, "--limit", "one", inventory=closed)
    finally:
        pair.known_hosts.write_text(known)
    assert refused.status != 0
    assert "Host key verification failed" in refused.output


def test_a_reboot_keeps_the_disk_and_starts_what_is_enabled(pair: Fleet) -> None:
    host = pair["one"]
    host.run("redis-cli SET survives yes; echo kept > /srv/kept; touch /run/lost; systemctl disable --now cron")
    host.reboot()
    assert host.run("redis-cli GET survives; cat /srv/kept; ls /run/lost || true").split() == ["yes", "kept"]
    assert host.attempt("systemctl is-active cron").stdout == "inactive\n"
    host.run("systemctl enable --now cron")


def test_a_host_that_is_killed_is_silent_and_starts_from_its_disk(pair: Fleet) -> None:
    one, two = pair["one"], pair["two"]
    reach = "timeout 3 bash -c 'exec 3<>/dev/tcp/two/22'"
    two.run("echo before > /srv/kept")
    two.kill()
    try:
        assert one.attempt(reach).returncode == 124  # nobody answers, not even with a refusal
    finally:
        two.start()
    assert two.read("/srv/kept") == "before\n"
    one.run(reach)
    two.stop()
    two.start()
    assert two.run("systemctl is-system-running") == "running\n"


def test_nothing_is_left_of_a_fleet_whose_test_failed(tmp_path: Path) -> None:
    folders = []
    playbook = tmp_path / "play.yml"
    playbook.write_text("- hosts: all\n  gather_facts: false\n  tasks: [ansible.builtin.ping: ]\n")

    def fails() -> None:
        with fleet("one") as hosts:
            folders.append(hosts.folder)
            play(hosts, playbook, inventory=inventory(hosts))
            assert list(hosts.control_path.iterdir()), "ssh keeps its connection open meanwhile"
            raise RuntimeError("a test that failed")

    with pytest.raises(RuntimeError, match="a test that failed"):
        fails()
    assert traces(folders[0]) == []


def test_a_fleet_whose_process_was_killed_is_gone_with_the_next() -> None:
    with child(_KILLED) as process:
        folder = Path(line_of(process))
        sweep()
        assert (folder / "network").exists()  # somebody uses it
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert len(traces(folder)) > 3
    sweep()
    # What minds a container ends by itself, a moment after the container.
    wait_for(lambda: not traces(folder), what=lambda: str(traces(folder)))


def test_a_machine_that_cannot_says_so_loudly(tmp_path: Path) -> None:
    """The fault: podman is not on the PATH of the machine."""
    for program in ("nsenter", "ip", "ssh"):
        (tmp_path / program).symlink_to("/bin/true")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-o", f"cache_dir={tmp_path}/cache", f"{__file__}::test_hosts_are_whole"],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "SKIPPED LOUDLY: no whole hosts on this machine: podman is not here" in " ".join(done.stdout.split())
