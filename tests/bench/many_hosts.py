# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``tools/bench.sh --only many-hosts``: what `backup.yml` and `status.yml` cost for each host, and whether that grows.

The hosts are simulated: connections to this machine, each with a folder of its own to back up. What the same backups
cost by the command line, without Ansible, is taken off, so that the figure is the plays' own. Prints seconds for each
host, the processor's too, and how the figure of many hosts compares with that of few.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
import typing as t

import yaml

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_LIMIT = 1.0  # seconds for each host

Json = dict[str, t.Any]


def main() -> int:
    """The exit status is 0 when a host costs less than a second, and no more among many than among few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--many", type=int, default=200)
    parser.add_argument("--forks", type=int, default=2 * (os.cpu_count() or 1))
    chosen = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory(prefix="lifeboat-hosts-") as name:
        folder = pathlib.Path(name)
        work = _command_line(folder, count=10)
        print(f"the command line: {work:.2f} s for one backup", flush=True)
        for playbook, own in (("backup", work), ("status", 0.0)):
            costs = {}
            for count in (chosen.few, chosen.many):
                wall, busy = _play(playbook, folder / f"{count}", count=count, forks=chosen.forks)
                costs[count] = wall / count - own / (os.cpu_count() or 1)
                print(
                    f"{playbook}.yml, {count} hosts: {wall:.1f} s, {wall / count:.2f} s a host "
                    f"({busy / count:.2f} s of the processor), {costs[count]:.2f} s without the backup itself",
                    flush=True,
                )
            growth = costs[chosen.many] / costs[chosen.few]
            print(f"{playbook}.yml: {chosen.many} hosts cost {growth:.2f} x as much each as {chosen.few}", flush=True)
            kept = kept and costs[chosen.many] < _LIMIT and growth < 1.25
    print("kept" if kept else "NOT KEPT: under 1 s a host, and linear")
    return 0 if kept else 1


def _description(folder: pathlib.Path) -> Json:
    files = folder / "files"
    files.mkdir(parents=True)
    (files / "settings.conf").write_text("color: red\n")
    source = {
        "name": "settings",
        "engine": "files",
        "connection": {"paths": [str(files)]},
        "backups": [{"kind": "config", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}],
    }
    return {
        "lifeboat_settings": {"state_directory": str(folder / "state")},
        "lifeboat_repositories": {"local": {"type": "file", "path": str(folder / "backups"), "create": True}},
        "lifeboat_services": [{"name": "shop", "sources": [source]}],
    }


def _command_line(folder: pathlib.Path, *, count: int) -> float:
    """Seconds for one backup without Ansible."""
    place = folder / "alone"
    place.mkdir()
    (place / "config.yml").write_text(yaml.safe_dump(_description(place)))
    program = pathlib.Path(sys.executable).parent / "lifeboat"
    began = time.perf_counter()
    for _turn in range(count):
        subprocess.run(
            [program, "--config", place / "config.yml", "backup", "--quiet"], check=True, stdout=subprocess.DEVNULL
        )
    return (time.perf_counter() - began) / count


def _play(playbook: str, folder: pathlib.Path, *, count: int, forks: int) -> tuple[float, float]:
    """Wall and processor seconds of one play over *count* hosts, which are made when they are not there."""
    inventory = folder / "inventory.yml"
    if not inventory.exists():
        hosts = {f"host{number:03d}": _description(folder / f"{number}") for number in range(count)}
        common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common}}))
    program = pathlib.Path(sys.executable).parent / "ansible-playbook"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [program, f"playbooks/{playbook}.yml", "-i", inventory, "--forks", str(forks)],
        cwd=_ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(folder / "ansible")},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - began
    if done.returncode != 0 or f"host{count - 1:03d}" not in done.stdout:
        raise SystemExit(f"{playbook}.yml ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
