# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names asked of the genuine bind9, and replies that nobody could mean."""

from __future__ import annotations

import pathlib
import shutil
import socket
import struct
import subprocess
import typing as t
import warnings

import pytest

from ansible_collections.lifeboat.recovery.plugins.module_utils._engine.readiness.resolver import (
    NoAnswer,
    ask_name,
    read_answers,
    resolvers,
)
from sandbox.ports import free_port
from tests.support.waiting import wait_for

_ZONE = """$TTL 60
@ IN SOA ns.example.test. root.example.test. 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
api IN A 192.0.2.30
api IN A 192.0.2.31
six IN AAAA 2001:db8::1
www 30 IN CNAME api
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[str, int]]:
    program = shutil.which("named") or shutil.which("named", path="/usr/sbin")
    if program is None:
        said = "SKIPPED: no name was asked for, because bind9 is missing. Run: apt-get install bind9"
        warnings.warn(said, stacklevel=1)
        pytest.skip(said)
    folder = tmp_path_factory.mktemp("bind")
    port = free_port()
    (folder / "zone").write_text(_ZONE)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
        f"pid-file none; session-keyfile none; recursion no; }};\ncontrols {{ }};\n"
        f'zone "example.test" {{ type primary; file "{folder}/zone"; }};\n'
    )
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([program, "-f", "-c", str(folder / "named.conf")], stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(port), what=(folder / "log").read_text)
        yield "127.0.0.1", port
    finally:
        child.terminate()
        child.wait(timeout=30)


def _answers(port: int) -> bool:
    try:
        return bool(ask_name("ns.example.test", "A", server="127.0.0.1", port=port, timeout=0.5).values)
    except NoAnswer:
        return False


def test_addresses_aliases_and_for_how_long_they_are_remembered(server: tuple[str, int]) -> None:
    address, port = server
    api = ask_name("api.example.test.", "A", server=address, port=port)
    assert (api.values, api.ttl) == (("192.0.2.30", "192.0.2.31"), 60)
    assert ask_name("six.example.test", "AAAA", server=address, port=port).values == ("2001:db8::1",)
    assert ask_name("www.example.test", "CNAME", server=address, port=port).values == ("api.example.test",)
    # The shortest time on the way is for how long all of it is remembered.
    www = ask_name("www.example.test", "A", server=address, port=port)
    assert (www.values, www.ttl) == (("192.0.2.30", "192.0.2.31"), 30)


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("none.example.test", "A", "there is no such name"),
        ("api.example.test", "AAAA", "it has no AAAA record"),
        ("elsewhere.test", "A", "it refuses"),
    ],
)
def test_no_answer_says_why(server: tuple[str, int], name: str, kind: str, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        ask_name(name, kind, server=server[0], port=server[1])


def test_nobody_is_there() -> None:
    with pytest.raises(NoAnswer, match="does not answer"):
        ask_name("api.example.test", "A", server="127.0.0.1", port=free_port(), timeout=0.3)


def _reply(body: bytes, *, number: int = 7, flags: int = 0x8180, answers: int = 1) -> bytes:
    return struct.pack("!HHHHHH", number, flags, 0, answers, 0, 0) + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5,
        _reply(b"\xc0\x0c" * 3),  # a name that leads to itself
        _reply(b"\0" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x01\x02"),  # cut short
        _reply(b"\0" + struct.pack("!HHIH", 1, 1, 60, 3) + b"\x01\x02\x03"),  # no address
        _reply(b"", number=8),
        _reply(b"", flags=0x0100),
    ],
)
def test_a_hostile_reply_is_no_answer(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((ValueError, IndexError, struct.error)):
        read_answers(data, number=7, kind="A")
    # Nothing else comes out of a conversation than an answer, or that there is none.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        monkeypatch.setattr("secrets.randbelow", lambda _most: 7)
        liar.settimeout(10)
        import threading

        def lie() -> None:
            _question, whom = liar.recvfrom(512)
            liar.sendto(data, whom)

        thread = threading.Thread(target=lie)
        thread.start()
        with pytest.raises(NoAnswer):
            ask_name("api.example.test", "A", server="127.0.0.1", port=liar.getsockname()[1])
        thread.join()


def test_whom_this_host_asks(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 1.1.1.1\nsearch test\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    assert resolvers(str(path)) == ["192.0.2.53", "2001:db8::53"]
    assert resolvers(str(tmp_path / "none")) == []
