# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full dump of a MongoDB replica set, server or database: looks, decides, reads, describes."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.checksums import CRC64_XZ, crc_function
from ..core.errors import LifeboatError
from ..core.host import Host
from ..core.progress import Progress
from ..core.state import StateDirectory
from ..core.version import VERSION
from ..pipeline.producer import Inspection, PayloadInput, PayloadSink, Production
from . import consistency
from .content import native_content, vendor_content, with_hashes
from .database_hash import read_hashes, unchanged
from .history_window import put_back_left_over, raised_history
from .namespaces import TIME_SERIES
from .native_dump import DumpResult, NativeDump
from .options import MONGODUMP, MongoDumpOptions
from .restore_guide import PAYLOAD, restore_guide
from .survey import Survey, steps_in_words, surveyed
from .timestamps import position_of
from .topology import say_hello
from .uri import direct_uri
from .vendor_dump import DumpCounts, configuration_file, find_mongodump, mongodump_argv
from .vendor_tool import VendorTool

_MEDIA = "mongodump archive"


class MongoDumpProducer:
    """Makes one full dump, as the options say. *host* gives processes, clock and journal; *state* keeps notes.

    A native dump says in its archive that it belongs to *backup_id*.
    """

    engine = "mongodb"
    kind = "full"

    def __init__(
        self, *, options: MongoDumpOptions, host: Host, state: StateDirectory, backup_id: str | None = None
    ) -> None:
        self._options = options
        self._host = host
        self._state = state
        self._backup_id = backup_id

    def inspect(self) -> Inspection:
        """Connect, read the facts, decide how to dump, refuse what can't become a good backup. Changes nothing."""
        crc_function(CRC64_XZ)  # a missing library is said now, not in the middle of the dump
        with surveyed(self._options, host=self._host, state=self._state) as survey:
            self._vendor_tool(survey)
            return Inspection(
                facts={
                    **survey.facts.as_dict(),
                    "consistency": survey.choice.mode,
                    "consistency_reason": survey.choice.reason,
                    "collections": len(survey.namespaces),
                },
                steps=steps_in_words(survey, self._options),
                expected_bytes=survey.expected_bytes,
            )

    def produce(self, *, sink: PayloadSink, progress: Progress) -> Production:
        """Make the dump as one payload, ``dump.archive``. *progress* is fed by the pipeline, which sees every byte."""
        with contextlib.ExitStack() as stack:
            survey = stack.enter_context(surveyed(self._options, host=self._host, state=self._state))
            facts, choice, journal = survey.facts, survey.choice, self._host.journal
            tool = self._vendor_tool(survey)
            if facts.history_window is not None:
                put_back_left_over(survey.client, host=facts.host, state=self._state, journal=journal)
            if choice.raise_window and facts.history_window is not None:
                stack.enter_context(
                    raised_history(
                        survey.client,
                        host=facts.host,
                        before=facts.history_window,
                        seconds=choice.history_needed,
                        state=self._state,
                        journal=journal,
                    )
                )
            hashes = self._hashes(survey)
            content = self._native(survey, sink) if tool is None else self._vendor(survey, sink, tool=tool)
            if self._options.record_hash:
                content = with_hashes(content, unchanged(hashes, self._hashes(survey)))
        scope = self._options.scope
        guide = restore_guide(
            database=scope.database,
            has_oplog=choice.mode == consistency.OPLOG,
            users_and_roles=scope.users_and_roles,
            time_series=any(one.type == TIME_SERIES for one in survey.namespaces),
            server_version=facts.version,
        )
        return Production(content=content, restore_commands=guide)

    def _hashes(self, survey: Survey) -> dict[tuple[str, str], str]:
        """Read from the member that is dumped; what can't be hashed is a warning, for the dump matters more."""
        if not self._options.record_hash:
            return {}
        try:
            return read_hashes(survey.client, ((one.database, one.name) for one in survey.namespaces))
        except LifeboatError as error:
            self._host.journal.warning(f"No hashes are noted: {error.message}")
            return {}

    def _vendor_tool(self, survey: Survey) -> VendorTool | None:
        if self._options.tool != MONGODUMP:
            return None
        return find_mongodump(
            runner=self._host.runner,
            directory=self._options.tool_directory,
            server_version=survey.facts.version,
            journal=self._host.journal,
        )

    def _native(self, survey: Survey, sink: PayloadSink) -> dict[str, t.Any]:
        options = self._options
        dump = NativeDump(
            client=survey.client,
            scope=options.scope,
            mode=survey.choice.mode,
            parallel=options.parallel,
            server_version=survey.facts.version,
            unsnapshotable=survey.unsnapshotable,
            clock=self._host.clock,
            journal=self._host.journal,
            backup_id=self._backup_id,
        )
        results: list[DumpResult] = []

        def write(output: t.BinaryIO) -> None:
            results.append(dump.write(output))

        sink.store(PayloadInput(name=PAYLOAD, media=_MEDIA, write=write, expected_bytes=survey.expected_bytes))
        result = results[-1]
        if result.outside_snapshot:
            self._host.journal.warning(
                f"Read outside the snapshot, so from slightly different moments: {', '.join(result.outside_snapshot)}."
            )
        return native_content(facts=survey.facts, options=options, choice=survey.choice, result=result, version=VERSION)

    def _vendor(self, survey: Survey, sink: PayloadSink, *, tool: VendorTool) -> dict[str, t.Any]:
        options = self._options
        uri = options.connection.fetch_uri(runner=self._host.runner)
        if survey.member is not None:
            uri = direct_uri(uri, host=survey.member)
        counts = DumpCounts()
        before = _last_write(survey)
        with configuration_file(uri) as (descriptor, path):
            argv = mongodump_argv(
                program=tool.program,
                configuration=path,
                connection=options.connection,
                scope=options.scope,
                mode=survey.choice.mode,
                parallel=options.parallel,
            )
            sink.store(
                PayloadInput(
                    name=PAYLOAD,
                    media=_MEDIA,
                    argv=argv,
                    pass_descriptors=(descriptor,),
                    on_stderr=counts.line,
                    expected_bytes=survey.expected_bytes,
                )
            )
        return vendor_content(
            facts=survey.facts,
            options=options,
            choice=survey.choice,
            namespaces=survey.namespaces,
            counts=counts.documents,
            version=tool.version,
            before=before,
            after=_last_write(survey),
        )


def _last_write(survey: Survey) -> tuple[int, int] | None:
    last = say_hello(survey.client).get("lastWrite")
    return position_of(last["opTime"]["ts"]) if last else None
