"""Planted identifiers, and the search for them wherever a service may have left them.

A canary is invented and occurs nowhere else; :func:`forms` are the bytes in which it could have been written down.
The searches give the places where they found one, never the text around it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

PATIENT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "PERSON": ("My name is Quorvella Zandrakis.", ("Quorvella", "Zandrakis")),
    "EMAIL": ("My email is q.zan77x@example.net.", ("q.zan77x@example.net",)),
    "PHONE": ("Call me at 319-555-0177.", ("319-555-0177", "3195550177", "555-0177")),
    "SSN": ("My ssn is 900-55-0119.", ("900-55-0119", "900550119")),
    "MRN": ("My MRN is 7734-90211.", ("7734-90211", "773490211")),
    "MEMBER_ID": ("My member ID is ZQH884213097.", ("ZQH884213097",)),
    "MBI": ("My Medicare number is 1EG4-TE5-MK73.", ("1EG4-TE5-MK73", "1EG4TE5MK73")),
    "ACCOUNT": ("My account number is 66120934417.", ("66120934417",)),
    "CARD": ("My card is 5500 0055 5555 5559.", ("5500 0055 5555 5559", "5500005555555559")),
    "LICENSE": ("My driver's license number is K7739214.", ("K7739214",)),
    "VEHICLE": ("My license plate is QZV 4471.", ("QZV 4471",)),
    "DEVICE": ("My pacemaker serial number is PZX900412.", ("PZX900412",)),
    "USERNAME": ("My username is zandra_q88.", ("zandra_q88",)),
    "URL": ("My page is https://quorv.example.net/zprofile.", ("quorv.example.net/zprofile",)),
    "IP": ("My IP is 203.0.113.177.", ("203.0.113.177",)),
    "DATE": ("I was born on March 17, 1951.", ("March 17, 1951",)),
    "AGE": ("I am 97 years old.", ("97 years old",)),
    "ADDRESS": ("I live at 4417 Whistlebrook Lane.", ("4417 Whistlebrook", "Whistlebrook")),
    "ZIP": ("My zip is 52773-8841.", ("52773-8841",)),
    "CITY": ("I live in Quimbleton, IA.", ("Quimbleton",)),
    "ORGANIZATION": ("I work at Blortwick Foundry Inc.", ("Blortwick",)),
}  # fmt: skip
"""By entity type: a sentence in which the service's rules find the identifier, and what must then be nowhere."""


def everything(sentences: Iterable[str]) -> str:
    """One text of several sentences, a line each."""
    return "\n".join(sentences)


def forms(value: str) -> Iterator[bytes]:
    """A canary as plain bytes in small letters, UTF-16, hexadecimal, quoted for a URL, and in base64 at any offset."""
    plain = value.encode()
    yield plain.lower()
    yield value.lower().encode("utf-16-le")
    yield binascii.hexlify(plain)
    yield quote(value, safe="").lower().encode()
    yield quote(value, safe="").replace("%20", "+").lower().encode()
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + plain).lower()
        yield whole[4 if shift else 0 : len(whole) - 4]


@dataclass(frozen=True)
class Search:
    """Looks for canaries. ``canaries`` are plain texts; case does not matter."""

    canaries: tuple[str, ...]

    @classmethod
    def of(cls, *groups: Iterable[str]) -> Search:
        """A search for all of several groups."""
        return cls(tuple(value for group in groups for value in group))

    def inside(self, content: bytes | str) -> list[str]:
        """The canaries that stand in a text."""
        low = (content.encode("utf-8", "replace") if isinstance(content, str) else content).lower()
        return [value for value in self.canaries if any(len(form) >= 6 and form in low for form in forms(value))]

    def places(self, named: Mapping[str, bytes | str]) -> list[str]:
        """``name: canary`` of each text that holds one."""
        return [f"{name}: {value}" for name, content in named.items() for value in self.inside(content)]

    def files(self, folder: Path) -> list[str]:
        """``path: canary`` of each file in a folder that holds one, its name included."""
        return self.written([path for path in sorted(folder.rglob("*")) if path.is_file()])

    def written(self, paths: Iterable[Path], *, plain: bool = False) -> list[str]:
        """``path: canary`` of each of these files; with ``plain`` only as text, for files of many megabytes."""
        found = []
        for path in paths:
            try:
                content = path.read_bytes()
            except OSError:
                continue  # gone meanwhile
            held = self.plainly(content) if plain else self.inside(content)
            found += [f"{path.parent.name}/{path.name}: {value}" for value in {*held, *self.inside(path.name)}]
        return found

    def plainly(self, content: bytes) -> list[str]:
        """The canaries that stand in a text as they are, case aside."""
        low = content.replace(bytes(1_024), b"").lower()
        return [value for value in self.canaries if value.lower().encode() in low]

    def tables(self, url: str) -> list[str]:
        """``table.column: canary`` over every column of every table of a database, bytes as they are."""
        found = set()
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn) as connection:
            columns = connection.execute(
                "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            for schema, table, column, kind in columns:
                name = sql.Identifier(column)
                value = sql.SQL("{}").format(name) if kind == "bytea" else sql.SQL("CAST({} AS text)").format(name)
                query = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL").format(
                    value, sql.Identifier(schema, table), name
                )
                for (cell,) in connection.execute(query):
                    found |= {f"{table}.{column}: {canary}" for canary in self.inside(cell)}
        return sorted(found)


def server_files(url: str) -> list[Path]:
    """What a PostgreSQL on this machine keeps of a database, after a checkpoint has written it.

    Its tables' files, the write-ahead log, temporary files, queued wake-ups, and the server's own log.
    """
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    folder = Path(row[0])
    parts = [folder / "base" / str(row[1]), folder / "base" / "pgsql_tmp", folder / "pg_wal", folder / "pg_notify"]
    return [folder / "log", *(path for part in parts for path in sorted(part.rglob("*")) if path.is_file())]
