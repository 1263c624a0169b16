"""A nameless file of SQLite's, for what a stage looks up and need not hold in memory."""

from __future__ import annotations

import sqlite3


def scratch(columns: str, cache_kb: int) -> sqlite3.Connection:
    """A database with one empty table ``held`` of these ``columns``, within a transaction that nobody ends.

    Its file goes with the process; ``cache_kb`` of it at most are in memory. Raises sqlite3.OperationalError where the
    disk is full.
    """
    file = sqlite3.connect("", isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{cache_kb}"):
        file.execute(f"PRAGMA {setting}")
    file.execute(f"CREATE TABLE held ({columns}) WITHOUT ROWID")
    file.execute("BEGIN")
    return file
