# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat verify``: prove backups; the exit status is 1 when one is not proved."""

from __future__ import annotations

import argparse
import typing as t

from .catalog.catalog import Selection
from .cli_telling import Telling
from .core.description.description import Description
from .core.description.kinds import SET_KIND
from .core.description.model import Source
from .core.errors import BackupNotFound, LifeboatError, RequestInvalid
from .core.host import Host
from .core.ids import is_backup_id
from .core.levels import LEVELS
from .operations.choosing import Sources
from .operations.description_requests import (
    identity_from,
    kinds_of,
    last_due,
    memory_limit,
    proof_of,
    repositories_of,
    source_of,
)
from .operations.option_names import verify_options_text
from .operations.verifier_kinds import can_verify
from .operations.verify import plan_verifications, run_verifications
from .operations.verify_values import DUE, NEWEST, SAMPLE, UNVERIFIED, Outcome, VerifyRequest
from .report.printer import Printer
from .report.recovery import verify_plan_text, verify_text


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of ``lifeboat verify``."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = f"options in a source's verify: {{options: ...}}, by engine:\n{verify_options_text()}"
    command.add_argument(
        "what", nargs="*", metavar="JOB|ID", help="service[/source[/kind]], or a backup's id; default: all"
    )
    levels = ", ".join(f"{number} {name}" for number, name in LEVELS.items())
    command.add_argument(
        "--level", type=int, choices=list(LEVELS), help=f"how far: {levels} (default: the source's verify)"
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--newest", type=int, metavar="N", help="the newest N of each kind (default: the source's, or 1)"
    )
    which.add_argument("--unverified", action="store_true", help="all that were not yet proved at this level")
    which.add_argument("--sample", type=int, metavar="N", help="N of each kind at random")
    which.add_argument(
        "--due", action="store_true", help="the newest of each kind that the schedule has come round for"
    )
    command.add_argument("--repository", metavar="NAME", help="only the copies in this repository")
    command.add_argument("--identity-file", metavar="FILE", help="the private key of encrypted backups")
    command.add_argument("--scratch-directory", metavar="FOLDER", help="where to restore to meanwhile")
    command.add_argument(
        "--keep-scratch", action="store_true", help="keep the restored files (their servers are ended)"
    )
    command.add_argument("--dry-run", action="store_true", help="say which backups would be verified, change nothing")
    command.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another verification")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def verify(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Verify what was asked for, source by source: each has its own level and questions."""
    host = Host(journal=printer)
    documents: list[dict[str, t.Any]] = []
    status = 0
    _refuse_counts_below_one(options)
    requests = [
        _request(options, description, source, selection, host)
        for source, selection in _asked(options, description, host)
    ]
    telling = Telling(description, host=host)
    proved: list[Outcome] = []
    for request in requests:
        if options.dry_run:
            backups = plan_verifications(request, host=host)
            if backups:
                printer.result(verify_plan_text(backups, level=request.proof.level))
            documents += [{"backup": backup.manifest.backup_id, "level": request.proof.level} for backup in backups]
            continue
        try:
            result = run_verifications(request, host=host, show=printer.progress, earlier=proved)
        except LifeboatError as error:
            printer.error(error)
            documents.append({"error": error.as_dict()})
            status = status or error.exit_status
            continue
        for outcome in result.outcomes:
            printer.result(verify_text(outcome))
        documents += [outcome.as_dict() for outcome in result.outcomes]
        telling.verified(result.outcomes)
        proved += result.outcomes
        for problem in result.problems:
            printer.error(problem)
        if result.short_error is not None:
            printer.error(result.short_error)
            status = status or result.short_error.exit_status
    if not documents and status == 0:
        if not (options.due or options.unverified):
            asked = f" of {', '.join(options.what)}" if options.what else ""
            raise BackupNotFound(f"There is no backup{asked} to verify.", hint="See what there is: lifeboat list")
        printer.result("Nothing is due." if options.due else "No backup is unverified.")
    printer.document({"results": documents})
    return status


def _refuse_counts_below_one(options: argparse.Namespace) -> None:
    for name in ("newest", "sample"):
        count = getattr(options, name)
        if count is not None and count < 1:
            raise RequestInvalid(
                f"--{name} {count}: it must be at least 1.", hint=f"lifeboat verify --{name} 1 --dry-run"
            )


def _asked(options: argparse.Namespace, description: Description, host: Host) -> list[tuple[Source, Selection]]:
    every = [
        (service.name, source)
        for service in description.services
        for source in service.sources
        if source.engine != "files" or any(can_verify(source.engine, kind) for kind in kinds_of(source.jobs))
    ]
    if not options.what:
        return _sets_last([(source, Selection(service=service, source=source.name)) for service, source in every])
    asked: list[tuple[Source, Selection]] = []
    for what in options.what:
        if is_backup_id(what):
            asked.append(_by_id(what, options, description, host))
            continue
        parts = what.strip("/").split("/")
        found = [
            (source, Selection(service=service, source=source.name, kind=parts[2] if len(parts) > 2 else None))
            for service, source in every
            if [service, source.name][: len(parts)] == parts[:2]
        ]
        if not found or len(parts) > 3:
            there = ", ".join(f"{service}/{source.name}" for service, source in every)
            raise RequestInvalid(
                f"Nothing to verify is called {what!r}.", hint=f"Name one of these, or a backup's id: {there}."
            )
        asked += found
    return _sets_last(asked)


def _sets_last(asked: list[tuple[Source, Selection]]) -> list[tuple[Source, Selection]]:
    """Behind their members, whose proofs they then take."""
    return sorted(asked, key=lambda one: any(job.kind == SET_KIND for job in one[0].jobs))


def _by_id(
    backup_id: str, options: argparse.Namespace, description: Description, host: Host
) -> tuple[Source, Selection]:
    repositories = repositories_of(description, only=options.repository)
    sources = Sources.open(repositories, host=host, identity=identity_from({}))
    backup = sources.find(backup_id)
    manifest = backup.manifest
    selection = Selection(
        service=manifest.service, source=manifest.source, kind=manifest.kind, backup_id=manifest.backup_id
    )
    return source_of(description, manifest.service, manifest.source), selection


def _request(
    options: argparse.Namespace, description: Description, source: Source, selection: Selection, host: Host
) -> VerifyRequest:
    settings = description.settings
    which = UNVERIFIED if options.unverified else SAMPLE if options.sample else DUE if options.due else NEWEST
    decryption = {"identity_file": options.identity_file} if options.identity_file else settings.decryption
    now = host.clock.now()
    return VerifyRequest(
        repositories=repositories_of(description, only=options.repository),
        selection=selection,
        proof=proof_of(source, level=options.level),
        which=which,
        count=options.newest or options.sample or int(source.verify.get("newest", 1)),
        since=last_due(source, default_timezone=settings.timezone, now=now) if options.due else None,
        identity=identity_from(decryption),
        scratch_directory=options.scratch_directory or settings.scratch_directory,
        memory_limit=memory_limit(settings.scratch_memory_mib),
        keep_scratch=options.keep_scratch,
        state_directory=settings.state_directory,
        lock_timeout=options.wait,
        proofs={
            one.name: proof_of(one, level=None)
            for service in description.services
            if service.name == selection.service
            for one in service.sources
        },
    )
