# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed assertions of the shared suites show their values."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.reading_suite", "tests.conformance.storage_suite", "tests.conformance.versions_suite"
)
