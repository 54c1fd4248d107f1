# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The embedded sandbox: real database servers on loopback, for the demo and for every test.

Nothing here is part of what a collection user installs. Run it from the checkout's root: ``python -m sandbox up``.
Linux only (it reads ``/proc``), Python 3.11 or later.
"""
