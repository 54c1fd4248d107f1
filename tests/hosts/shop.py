# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop on a whole host: orders in the distribution's PostgreSQL, sessions in its Redis, and both described."""

from __future__ import annotations

import re
import shlex
import typing as t

from tests.support.hosts.fleet import Host
from tests.support.hosts.playing import Json

ORDERS, SESSIONS = 3000, 250
PASSWORD = "not-for-anybody-5e20"
PASSWORD_FILE = "/etc/lifeboat/postgresql.password"
DATA = "/var/lib/postgresql/15/main"
_CONTENT = "SELECT count(*), md5(string_agg(orders::text, ',' ORDER BY id)) FROM orders"
_FILL = f"""
CREATE ROLE lifeboat SUPERUSER REPLICATION LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE shop;
\\connect shop
CREATE TABLE orders AS SELECT id, md5(id::text) AS text FROM generate_series(1, {ORDERS}) AS id;
"""


def describe(*, repositories: t.Sequence[str], name: str = "shop", **more: t.Any) -> list[Json]:
    """One shop as a service called *name*; *more* belongs to the service (applications)."""
    backups = {"repositories": list(repositories), "keep": {"within": "7d"}}
    main = {
        "name": "main",
        "engine": "postgresql",
        "connection": {
            "host": "127.0.0.1",
            "user": "lifeboat",
            "database": "shop",
            "password_file": PASSWORD_FILE,
        },
        "service_control": {"unit": "postgresql@15-main"},
        "backups": [
            {"kind": "logical", "options": {"databases": ["shop"]}, **backups},
            {"kind": "base", **backups},
        ],
        "verify": {
            "level": 4,
            "require_tables": ["orders"],
            "questions": [
                {"name": "orders", "database": "shop", "sql": "select count(*) from orders", "equals": ORDERS},
            ],
        },
    }
    cache = {
        "name": "cache",
        "engine": "redis",
        "connection": {"port": 6379},
        "service_control": {"unit": "redis-server"},
        "backups": [{"kind": "rdb", **backups}],
        "verify": {"level": 4, "questions": [{"name": "sessions", "redis": ["DBSIZE"], "equals": SESSIONS}]},
    }
    return [{"name": name, "sources": [main, cache], **more}]


def allow_digest(host: Host) -> None:
    """Let Redis tell the digest of all that it holds, for the comparison."""
    host.run("echo 'enable-debug-command local' >> /etc/redis/redis.conf && systemctl restart redis-server")


def fill(host: Host) -> None:
    """Sample data in both servers."""
    host.write(PASSWORD_FILE, PASSWORD + "\n")
    host.run("psql -X -q -v ON_ERROR_STOP=1", user="postgres", data=_FILL.encode())
    commands = [f"SET session:{number} {'x' * 40}{number}" for number in range(SESSIONS - 2)]
    commands += ["HSET carts 1 apples 2 pears", "ZADD prices 1.5 apple 2.5 pear"]
    host.run("redis-cli", data="\n".join(commands).encode())
    assert host.run("redis-cli DBSIZE").strip() == str(SESSIONS)


def rows(host: Host, *, port: int = 5432) -> str:
    """How many orders there are, and their hash."""
    command = f"PGPASSWORD={PASSWORD} psql -XAt -h 127.0.0.1 -p {port} -U lifeboat -d shop -c {shlex.quote(_CONTENT)}"
    return host.run(command).strip()


def keys(host: Host) -> str:
    """The digest of everything in Redis."""
    digest = host.run("redis-cli DEBUG DIGEST").strip()
    assert re.fullmatch("[0-9a-f]{40}", digest), digest
    assert digest != "0" * 40, "it is empty"
    return digest
