# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the lab, ``python client.py NAMESERVER_PORT NAME FILE``: it writes one number after the other.

It asks the name server for where, believes it for as long as the answer says, and notes in FILE what became of each
write: its number, when it was sent and answered (seconds since the machine's start), by whom, and whether it was
acknowledged. It ends with its input.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import sys
import threading
import time

import dns.exception
import dns.message
import dns.query

_THREADS, _PAUSE, _SECONDS = 2, 0.08, 3.0
_PORT = 8080


class Resolver:
    """Remembers, as resolvers do; what it knew is better than nothing."""

    def __init__(self, port: int, name: str) -> None:
        self._port, self._name = port, name
        self._known: list[str] = []
        self._until = 0.0
        self._lock = threading.Lock()

    def address(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._ask()
            return random.choice(self._known)

    def _ask(self) -> None:
        asked = dns.message.make_query(self._name, "A")
        try:
            answer = dns.query.udp(asked, "127.0.0.1", port=self._port, timeout=1).answer
        except (dns.exception.DNSException, OSError):
            return
        if answer:
            self._known = [each.to_text() for each in answer[0]]
            self._until = time.monotonic() + answer[0].ttl


def _send(number: int, address: str) -> tuple[bool, str]:
    connection = http.client.HTTPConnection(address, _PORT, timeout=_SECONDS)
    try:
        connection.request("GET", f"/write?number={number}")
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode("utf-8", "replace")[:200]
    except (OSError, http.client.HTTPException) as error:
        return False, repr(error)
    finally:
        connection.close()


def main(port: int, name: str, path: str) -> None:
    numbers, resolver, lock = itertools.count(int(time.monotonic() * 1000)), Resolver(port, name), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers)
            address, sent = resolver.address(), time.monotonic()
            acknowledged, told = _send(number, address)
            note = {"number": number, "sent": sent, "answered": time.monotonic(), "by": address, "ok": acknowledged}
            if not acknowledged:
                note["told"] = told
            with lock, open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")
            time.sleep(_PAUSE)

    threads = [threading.Thread(target=work, daemon=True) for _number in range(_THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()  # until whoever started it ends, or wants it to


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
