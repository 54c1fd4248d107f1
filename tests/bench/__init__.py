# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark: backups of real servers against the tools' own pipes and the peers, all measured in one run.

``python -m tests.bench --help``; ``make bench`` installs the peers first. Each file is one concept: what is run
(``command``), what is measured of it (``measuring``, ``processes``), who runs against whom (``contest``), and one file
for each kind of backup.
"""
