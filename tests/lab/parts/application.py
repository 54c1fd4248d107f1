# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application of the lab, on its hosts: a write goes to PostgreSQL and to Redis, and is answered after that.

It runs by the hosts' own interpreter, out of ``/opt/adhd``; where its servers are stands in its environment.
"""

from __future__ import annotations

import http.server
import os
import socket
import typing as t
import urllib.parse

import psycopg2

_SECONDS = 2


def _write(number: int | None) -> None:
    """Without a number it only sees whether it could."""
    database = psycopg2.connect(
        host=os.environ["DATABASE_HOST"],
        dbname="adhd",
        user="adhd",
        password=os.environ["PASSWORD"],
        connect_timeout=_SECONDS,
        options=f"-c statement_timeout={_SECONDS}s",
    )
    try:
        with database, database.cursor() as cursor:
            if number is None:
                cursor.execute("CREATE TEMPORARY TABLE health (well bool)")  # which no standby takes
            else:
                cursor.execute("INSERT INTO writes VALUES (%s)", (number,))
    finally:
        database.close()
    _remember("health" if number is None else f"write:{number}")


def _remember(key: str) -> None:
    """A key in Redis. Two commands are no reason for a library."""
    with socket.create_connection((os.environ["CACHE_HOST"], 6379), timeout=_SECONDS) as connection:
        connection.sendall(f"AUTH {os.environ['PASSWORD']}\r\nSET {key} 1\r\n".encode())
        with connection.makefile("rb") as answers:
            for _command in range(2):
                said = answers.readline()
                if said != b"+OK\r\n":
                    raise OSError(f"Redis says {said!r}")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = urllib.parse.urlsplit(self.path)
        numbers = urllib.parse.parse_qs(asked.query).get("number", [])
        try:
            _write(int(numbers[0]) if asked.path == "/write" else None)
            status, told = 200, "written"
        except (psycopg2.Error, OSError) as error:
            status, told = 503, str(error)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(told.encode())

    def log_message(self, *_arguments: t.Any) -> None:
        """Nothing: a host has a small journal."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", 8080), _Handler).serve_forever()
