# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that fetch by name from an index of packages: the libraries alone, then the engine, too.

The index is one of the test's own at the controller's address, because nothing leads out of the hosts' network. pip
talks to it as it talks to PyPI.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import re
import threading
import typing as t
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.lifeboat.recovery.plugins.lookup import agent_wheels
from tests.hosts.conftest import StartHosts
from tests.hosts.test_roles import changes
from tests.support.hosts.fleet import Fleet, Host
from tests.support.hosts.playing import Json, Played, inventory, play
from tests.support.hosts.root_file_system import wheelhouse

pytestmark = [pytest.mark.slow, pytest.mark.long]

_PORT = 8330
_JOB = "shop/cache/rdb"
_OLDER = "0.0.9"


@dataclass(frozen=True)
class Index:
    """Folders of wheels by name, as the simple interface of an index has them, and who asked for what."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def offer(self, wheel: str, data: bytes) -> None:
        name = re.sub("[-_.]+", "-", wheel.partition("-")[0]).lower()
        (self.folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "simple" / name / wheel).write_bytes(data)

    def fetched(self) -> set[str]:
        """The names of the packages whose wheels were fetched since the last time."""
        names = {path.split("/")[2] for path in self.asked if path.endswith(".whl")}
        self.asked.clear()
        return names


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Lists folders and hands out files; says nothing, and remembers what was asked for."""

    def __init__(self, *arguments: t.Any, asked: list[str], **more: t.Any) -> None:
        self._asked = asked
        super().__init__(*arguments, **more)

    def log_request(self, code: t.Any = "-", size: t.Any = "-") -> None:
        self._asked.append(self.path)

    def log_message(self, *arguments: t.Any) -> None:
        del arguments


@contextlib.contextmanager
def index_for(fleet: Fleet, folder: Path) -> t.Iterator[Index]:
    """Serve it until the end of the block."""
    made = Index(folder=folder)
    for wheel in wheelhouse().glob("*.whl"):
        made.offer(wheel.name, wheel.read_bytes())
    handler = functools.partial(_Handler, directory=str(folder), asked=made.asked)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = fleet.network.listen(_PORT)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Site:
    fleet: Fleet
    index: Index

    @property
    def host(self) -> Host:
        return self.fleet["shop"]

    @property
    def index_url(self) -> str:
        return f"http://{self.fleet.network.controller}:{_PORT}/simple"

    def play(self, **variables: t.Any) -> Played:
        backup = {"kind": "rdb", "schedule": "0 2 * * *", "repositories": ["local"], "keep": {"within": "7d"}}
        source = {"name": "cache", "engine": "redis", "connection": {"port": 6379}, "backups": [backup]}
        own: Json = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "lifeboat_repositories": {"local": {"type": "file", "path": "/var/backups/lifeboat", "create": True}},
            "lifeboat_services": [{"name": "shop", "sources": [source]}],
            **variables,
        }
        return play(self.fleet, "playbooks/site.yml", inventory=inventory(self.fleet, own={"shop": own}))


@pytest.fixture(scope="module")
def site(start_hosts: StartHosts, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    fleet = start_hosts("shop")
    address = fleet.network.controller
    # What the host's pip is set up for is asked where no index is named.
    settings = f"[global]\nindex-url = http://{address}:{_PORT}/simple\ntrusted-host = {address}\n"
    fleet["shop"].write("/etc/pip.conf", settings, mode=0o644)
    with index_for(fleet, tmp_path_factory.mktemp("index")) as index:
        yield Site(fleet=fleet, index=index)


def test_the_libraries_come_by_name_and_the_engine_from_the_collection(site: Site) -> None:
    assert changes(site.play()) > 0
    assert not [path for path in site.index.asked if "/lifeboat/" in path], "an index could answer with another's"
    fetched = site.index.fetched()
    assert {"pyyaml", "cronsim", "anycrc", "jsonschema", "zstandard"} <= fetched
    assert "psycopg2-binary" not in fetched, "only what the host's jobs need"
    assert "lifeboat" not in fetched
    site.host.run(f"lifeboat backup {_JOB}")
    pins = {line.split("==")[0].lower() for line in pinned(site.host)}
    assert fetched <= {re.sub("[-_.]+", "-", name) for name in pins}


def test_the_engine_comes_by_name_too_when_it_is_asked_for(site: Site) -> None:
    site.index.offer(agent_wheels.WHEEL, agent_wheels.build_wheel()[0])
    before = site.host.run("readlink -f /opt/lifeboat/current")
    refused = site.play(agent_from="pypi")
    assert refused.status != 0
    assert "agent_index" in refused.words, "the name is another project's on the public index"
    assert site.index.fetched() == set()
    by_name = {"agent_from": "pypi", "agent_index": site.index_url}
    assert changes(site.play(**by_name)) > 0
    assert "lifeboat" in site.index.fetched()
    assert site.host.run("readlink -f /opt/lifeboat/current") != before
    assert agent_wheels.VERSION in site.host.run("lifeboat --version")
    site.host.run(f"lifeboat backup {_JOB}")
    assert changes(site.play(**by_name)) == 0
    assert site.index.fetched() == set()


def test_an_index_that_lacks_something_leaves_the_old_version_in_use(site: Site) -> None:
    before = site.host.run("readlink -f /opt/lifeboat/current")
    refused = site.play(agent_from="pypi", agent_index=site.index_url, agent_version="99.0.0")
    assert refused.status != 0
    assert "99.0.0" in refused.words
    assert site.host.run("readlink -f /opt/lifeboat/current") == before
    site.host.run(f"lifeboat backup {_JOB}")


def test_a_downgrade_and_the_way_back_to_what_lies_there(site: Site) -> None:
    before = site.host.run("readlink -f /opt/lifeboat/current").strip()
    stored = site.host.run("lifeboat list").count(_JOB)
    site.index.offer(*older_engine())
    by_name = {"agent_from": "pypi", "agent_index": site.index_url}
    assert changes(site.play(**by_name, agent_version=_OLDER)) > 0
    assert site.host.run("lifeboat --version").split() == ["lifeboat", _OLDER]
    site.host.run(f"lifeboat backup {_JOB}")
    assert site.host.run("lifeboat list").count(_JOB) == stored + 1, "it does not know what the newer one stored"
    kept = site.host.run("ls /opt/lifeboat/versions").split()
    assert len(kept) == 2, "what an installation left that did not come to its end is none to go back to"
    site.index.fetched()
    assert changes(site.play(**by_name)) > 0
    assert site.host.run("readlink -f /opt/lifeboat/current").strip() == before
    assert site.index.fetched() == set(), "it was there, and was installed anew"
    assert agent_wheels.VERSION in site.host.run("lifeboat --version")
    assert site.host.run("ls /opt/lifeboat/versions").split() == kept
    site.host.run(f"lifeboat backup {_JOB}")


def test_a_version_that_does_not_know_what_is_described_refuses_it_on_the_host(site: Site) -> None:
    look = "readlink -f /opt/lifeboat/current; sha256sum /etc/lifeboat/config.yml"
    before = site.host.run(look)
    site.index.offer(*older_engine("0.0.8", lacks="create"))
    refused = site.play(agent_from="pypi", agent_index=site.index_url, agent_version="0.0.8")
    assert refused.status != 0
    assert "local > create: unknown key" in refused.words
    assert "configuration.invalid" in refused.words
    assert site.host.run(look) == before
    site.host.run(f"lifeboat backup {_JOB}")


def older_engine(version: str = _OLDER, *, lacks: str | None = None) -> tuple[str, bytes]:
    """The wheel of an engine that calls itself an earlier version, and its name; *lacks* is a key it does not know."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(agent_wheels.build_wheel()[0])) as newer,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as older,
    ):
        for one in newer.namelist():
            text = newer.read(one)
            if one.endswith(("/METADATA", "/version.py", "/RECORD")):
                text = text.replace(agent_wheels.VERSION.encode(), version.encode())
            if lacks and one.endswith("/schema_repositories.py"):
                text = text.replace(f'"{lacks}"'.encode(), b'"of_later"')
            older.writestr(one.replace(agent_wheels.VERSION, version), text)
    return agent_wheels.WHEEL.replace(agent_wheels.VERSION, version), buffer.getvalue()


def pinned(host: Host) -> list[str]:
    """The requirements that stand beside the version in use."""
    text = host.read("/opt/lifeboat/current/requirements.txt")
    return [line for line in text.splitlines() if "==" in line]
