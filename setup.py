# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pyproject.toml can't say: the package `lifeboat` is the folder plugins/module_utils/_engine with its rooms."""

from __future__ import annotations

from setuptools import find_packages, setup

ENGINE = "plugins/module_utils/_engine"

setup(
    package_dir={"lifeboat": ENGINE},
    packages=["lifeboat", *(f"lifeboat.{room}" for room in find_packages(ENGINE))],
)
