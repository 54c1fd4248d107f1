# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option ``questions``. Private to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """One fragment."""

    DOCUMENTATION = r"""
options:
  questions:
    description:
      - What is asked of the restored data at level 4, and what the right answer is.
      - Each asks in one way (O(questions[].sql), O(questions[].count), O(questions[].find), O(questions[].aggregate) or
        O(questions[].redis)). The answer is held against O(questions[].min), O(questions[].max), O(questions[].equals),
        O(questions[].within_percent_of) or O(questions[].within_count_of), and only reported where none is given.
      - They are asked of every backup that is chosen, so name the O(source) that they are about.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the answer is called in the result; unique.
        type: str
        required: true
      description:
        description: What it means, for people.
        type: str
      ask:
        description: When it is asked; here those with V(verification), which is among them when this is left out.
        type: list
        elements: str
        choices: [verification, recovery]
      database:
        description: The database that is asked.
        type: str
      sql:
        description: For PostgreSQL, a query that returns one value.
        type: str
      count:
        description: For MongoDB, how many documents match.
        type: dict
        suboptions:
          database:
            description: The database.
            type: str
          collection:
            description: The collection.
            type: str
            required: true
          filter:
            description: The documents to count, in MongoDB's Extended JSON where plain JSON has no word for it.
            type: dict
      find:
        description: For MongoDB, whether a document matches, 1 or 0.
        type: dict
        suboptions:
          database:
            description: The database.
            type: str
          collection:
            description: The collection.
            type: str
            required: true
          filter:
            description: What to look for.
            type: dict
      aggregate:
        description: For MongoDB, the field C(value) of the one document that a pipeline gives.
        type: dict
        suboptions:
          database:
            description: The database.
            type: str
          collection:
            description: The collection.
            type: str
            required: true
          pipeline:
            description: The stages.
            type: list
            elements: dict
            required: true
      redis:
        description: For Redis, a command that returns one value, word by word, for example V([DBSIZE]).
        type: list
        elements: str
      min:
        description: The least that is right.
        type: float
      max:
        description: The most that is right.
        type: float
      equals:
        description: The one right answer, a number, a text or a truth value.
        type: raw
      within_percent_of:
        description: How far the answer may be from another one.
        type: dict
        suboptions:
          reference:
            description: V(noted) is the answer at backup time, V(previous) that of the previous backup.
            type: str
            choices: [noted, previous, primary]
            required: true
          percent:
            description: The greatest difference.
            type: float
            required: true
      within_count_of:
        description: The same as a number.
        type: dict
        suboptions:
          reference:
            description: V(noted) is the answer at backup time, V(previous) that of the previous backup.
            type: str
            choices: [noted, previous, primary]
            required: true
          count:
            description: The greatest difference.
            type: float
            required: true
"""
