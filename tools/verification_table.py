# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the table of docs/verification.md from the list that tests/integration/test_bad_backups.py proves.

python tools/verification_table.py            write
python tools/verification_table.py --check    exit 1 when the page says something else
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import typing as t

ROOT: t.Final = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from tests.support.bad_backups import table  # noqa: E402 the paths come first

PAGE: t.Final = ROOT / "docs/verification.md"
BEGIN: t.Final = "<!-- Written by tools/verification_table.py from what the tests prove. -->\n"
END: t.Final = "<!-- End of what is written. -->\n"


def wanted() -> str:
    """The page with the table as it should be."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _table, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} lacks the marks around its table.")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The exit status: 1 when the page is outdated and --check was given."""
    parser = argparse.ArgumentParser(description="Write the table of bad backups and the levels that catch them.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is outdated")
    chosen = parser.parse_args(arguments)
    content = wanted()
    if content == PAGE.read_text(encoding="utf-8"):
        return 0
    if chosen.check:
        print("docs/verification.md is outdated; run: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(content, encoding="utf-8")
    print("wrote docs/verification.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
