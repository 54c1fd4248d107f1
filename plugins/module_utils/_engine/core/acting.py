# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting as another account of this host for a moment: a server's socket lets its own account in without a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import typing as t

from .errors import RequestInvalid


@contextlib.contextmanager
def acting_as(account: str) -> t.Iterator[None]:
    """Be *account* until the end of the block; nothing happens without a name, or when we are that one already.

    Only root can. Raises RequestInvalid for an account that this host does not have, and when we are not root.
    """
    if not account:
        yield
        return
    wanted = server_account(account, option="account")
    if os.geteuid() == wanted.pw_uid:
        yield
        return
    if os.geteuid() != 0:
        raise RequestInvalid(
            f"Only root can act as {account}, and this is uid {os.geteuid()}.",
            hint=f"Run it as root (become: true) or as {account}, or give the administrator a password_file.",
        )
    group, user = os.getegid(), os.geteuid()
    os.setegid(wanted.pw_gid)
    try:
        os.seteuid(wanted.pw_uid)
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


def server_account(name: str, *, option: str) -> pwd.struct_passwd:
    """The account *name* of this host. Raises RequestInvalid, naming its *option*, when there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise RequestInvalid(
            f"This host has no account {name}.", hint=f"Name the one that the server runs as: {option}"
        ) from None
