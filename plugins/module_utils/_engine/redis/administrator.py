# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may change a server: somebody else than the jobs that read it."""

from __future__ import annotations

import typing as t

from .connection import RedisConnection

_WHERE = ("host", "port", "unix_socket")
_WAY = ("tls", "tls_ca_file", "tls_certificate_file", "tls_key_file", "timeout")


def administrator_of(connection: t.Mapping[str, t.Any], administrator: t.Mapping[str, t.Any]) -> RedisConnection:
    """The administrator's connection: the jobs' own when none is named.

    Without an address of its own it is the jobs' server that is meant. Raises RequestInvalid.
    """
    jobs = RedisConnection.from_description(connection)
    given = dict(administrator)
    if not given:
        return jobs
    if not any(name in given for name in _WHERE):
        kept = (*_WHERE, *_WAY)
        given = {**{name: value for name, value in connection.items() if name in kept}, **given}
    elif "port" not in given and "unix_socket" not in given:
        given["port"] = jobs.port
    return RedisConnection.from_description(given)
