# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``lifeboat metrics``: the status for Prometheus, with the rules and the dashboard that go with it."""

from __future__ import annotations

import argparse
import json
import typing as t

from .cli_status import report_of
from .core.description.description import Description
from .core.errors import LibraryMissing, RequestInvalid
from .core.files import replace_file
from .core.host import Host
from .core.state import StateDirectory
from .degraded.notes import noted_modes
from .operations.replica_lag import read_replicas
from .report.metrics import metrics_text
from .report.metrics_dashboard import dashboard
from .report.metrics_rules import alert_rules
from .report.printer import Printer


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    what = command.add_mutually_exclusive_group()
    what.add_argument(
        "--textfile", metavar="FILE", help="write the metrics there, for node_exporter (FILE ends in .prom)"
    )
    what.add_argument("--rules", action="store_true", help="print Prometheus' alert rules of this description")
    what.add_argument("--dashboard", action="store_true", help="print the Grafana dashboard")


def metrics(options: argparse.Namespace, printer: Printer, description: Description) -> int:
    """Write or print. The exit status is 0 whatever the metrics say: alarms are Prometheus' business."""
    if options.dashboard:
        _print(json.dumps(dashboard(), indent=2), dashboard(), printer)
        return 0
    if options.rules:
        rules = alert_rules(description)
        for left_out in rules.left_out:
            printer.warning(left_out)
        _print(_yaml(rules.document), rules.document, printer)
        return 0
    if options.textfile and not options.textfile.endswith(".prom"):
        raise RequestInvalid(
            f"{options.textfile} does not end in .prom, and node_exporter reads nothing else.",
            hint="lifeboat metrics --textfile /var/lib/prometheus/node-exporter/lifeboat.prom",
        )
    report = report_of(options, printer, description)
    replicas = read_replicas(description, host=Host(journal=printer))
    for fact in replicas:
        if fact.error is not None:
            printer.warning(f"{fact.id}: how far it is behind is not known: {fact.error}")
    state = StateDirectory(path=description.settings.state_directory)
    text = metrics_text(report.document, replicas=replicas, degraded=noted_modes(state))
    if options.textfile:
        replace_file(options.textfile, text.encode("utf-8"))
        printer.document({"file": options.textfile, "samples": _count(text)})
    else:
        _print(text.rstrip("\n"), {"metrics": text}, printer)
    for problem in report.problems:
        printer.error(problem)
    return 0


def _print(text: str, document: dict[str, t.Any], printer: Printer) -> None:
    printer.result(text)
    printer.document(document)


def _count(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def _yaml(document: dict[str, t.Any]) -> str:
    try:
        import yaml
    except ImportError as error:
        raise LibraryMissing(
            "The Python library PyYAML is needed to write the rules.",
            hint="Install it for the interpreter that runs Lifeboat: pip install PyYAML   Or use --json, also YAML.",
        ) from error
    text: str = yaml.safe_dump(document, sort_keys=False, width=200, allow_unicode=True)
    return text.rstrip("\n")
