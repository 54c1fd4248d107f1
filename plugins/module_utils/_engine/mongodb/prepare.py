# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preparing MongoDB for its backups: the jobs' user, and how far the oplog reaches back. No restart is ever needed."""

from __future__ import annotations

from ..core.errors import ServerDifferent
from ..core.host import Host
from ..core.options import number, refuse_unknown
from ..core.preparation import PreparationNote, Prepared, PrepareRequest, Step, nothing_to_put_back, run_steps
from ..core.runner import Runner
from .connection import MongoConnection
from .oplog_members import opened_set
from .oplog_options import OplogOptions
from .prepare_account import Account, account_of, account_steps, put_back_account_steps, roles_needed
from .prepare_oplog import lasting_hours, members_of, oplog_steps, put_back_oplog_steps
from .topology import read_topology
from .uri import shown_uri

_KEYS = ("oplog_mib", "oplog_hours", "manages")
_OF = "the preparation of MongoDB"
_LARGEST_MIB = 1024 * 1024 * 16
_LONGEST_HOURS = 24.0 * 366


def prepare_mongodb(request: PrepareRequest, *, host: Host) -> Prepared:
    """Make the server ready, or put back what was there before; in check mode only say it.

    Options: ``oplog_mib`` and ``oplog_hours`` (0 leaves it alone), ``manages`` (the jobs set parameters of the server
    themselves, which takes the role hostManager). Raises what connecting raises, MongoNoOplog for a standalone server
    when a stream is made of it, MongoNotAuthorised, AccountForeign and ServerDifferent.
    """
    refuse_unknown(request.options, known=_KEYS, of=_OF)
    note = PreparationNote(engine="mongodb", request=request)
    if request.absent and not note.content:
        return nothing_to_put_back(request)
    mib = int(_least(request, "oplog_mib", at_most=_LARGEST_MIB))
    hours = _least(request, "oplog_hours", at_most=_LONGEST_HOURS)
    jobs = MongoConnection.from_description(request.connection)
    # Nobody but the jobs themselves when none is named.
    administrator = MongoConnection.from_description(request.administrator or request.connection)
    steps: list[Step] = []
    with administrator.open(runner=host.runner) as client:
        server = shown_uri(administrator.fetch_uri(runner=host.runner))
        account = _account(jobs, administrator, runner=host.runner)
        if request.absent:
            steps = put_back_account_steps(client, note=note)
        elif account is not None:
            roles = roles_needed(manages=bool(request.options.get("manages")))
            steps = account_steps(
                client, account=account, jobs=jobs, roles=roles, note=note, runner=host.runner
            )  # fmt: skip
        hands: tuple[str, ...] = ()
        if "oplog" in request.kinds or mib or hours or {"oplog_mib", "oplog_hours"} & set(note.content):
            with opened_set(OplogOptions(connection=administrator), host=host) as oplog_set:
                members = members_of(oplog_set)
                if request.absent:
                    steps = [*put_back_oplog_steps(members, note=note), *steps]
                else:
                    steps += oplog_steps(members, mib=mib, hours=hours, note=note)
                    hands = lasting_hours(members, hours=hours)
                hands = (*oplog_set.warnings, *hands)
                changes = run_steps(steps, check=request.check)
        else:
            changes = run_steps(steps, check=request.check)
        if not request.absent and not request.check and account is not None:
            _prove(jobs, administrator, runner=host.runner)
    return Prepared(server=server, account=account.name if account else None, changes=changes, by_hand=hands)


def _least(request: PrepareRequest, name: str, *, at_most: float) -> float:
    """A number above 0, or 0 for what is left alone."""
    given = {name: value for name, value in request.options.items() if value not in (None, 0)}
    return number(given, name, of=_OF, default=0.0, at_most=at_most)


def _account(jobs: MongoConnection, administrator: MongoConnection, *, runner: Runner) -> Account | None:
    """The jobs' user, None where they come as the administrator."""
    mine = account_of(jobs, runner=runner)
    other = account_of(administrator, runner=runner)
    if mine is not None and other is not None and (mine.name, mine.database) == (other.name, other.database):
        return None
    return mine


def _prove(jobs: MongoConnection, administrator: MongoConnection, *, runner: Runner) -> None:
    """Come in as the jobs do, to the same server."""
    with jobs.open(runner=runner) as client, administrator.open(runner=runner) as other:
        ours, theirs = read_topology(client), read_topology(other)
    if (ours.replica_set_id or ours.me) != (theirs.replica_set_id or theirs.me):
        raise ServerDifferent(
            f"The administrator reached {theirs.me}, and the jobs come to {ours.me}, which is another server.",
            hint="Give the administrator a uri with the hosts of the jobs' uri.",
        )
