"""Anonymous patient sessions: a token for a browser, and the notice that was accepted with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from app.auth.tokens import new_token, token_hash
from app.db.models import new_id
from app.db.session import Database
from app.errors import NotSignedIn, SessionExpired, VersionConflict

_CREATE = text(
    "INSERT INTO patient_sessions (id, site_id, token_sha256, language, created_at, expires_at) "
    "VALUES (:id, :site, :token, :language, :now, :expires)"
)
_CONSENT = text(
    "INSERT INTO consents (session_id, notice_version, accepted_at) "
    "SELECT CAST(:id AS varchar), CAST(:version AS varchar), :now "
    "WHERE NOT EXISTS (SELECT 1 FROM consents WHERE session_id = :id AND notice_version = :version)"
)
_END = text("UPDATE patient_sessions SET expires_at = least(expires_at, :now) WHERE id = :id")
_STANDS = text("SELECT EXISTS (SELECT 1 FROM patient_sessions WHERE id = :id AND expires_at > :now)")
_FIND = text(
    "SELECT s.id, s.language, s.expires_at, "
    "EXISTS (SELECT 1 FROM consents c WHERE c.session_id = s.id AND c.notice_version = :version) AS consented "
    "FROM patient_sessions s WHERE s.token_sha256 = :token AND s.site_id = :site"
)


@dataclass(frozen=True, slots=True)
class Patient:
    """Who asks: a session, not a person."""

    session_id: str
    language: str
    expires_at: datetime
    consented: bool


class PatientSessions:
    """Sessions of one site, which last ``hours``."""

    def __init__(
        self, database: Database, site: str, *, notice_version: str, hours: float, now: Callable[[], datetime]
    ) -> None:
        self.notice_version = notice_version
        self._database = database
        self._site = site
        self._life = timedelta(hours=hours)
        self._now = now

    async def create(self, language: str, consent: bool) -> tuple[Patient, str]:
        """A new session and its token, which cannot be read again. Consent is to the current notice."""
        token, at = new_token(), self._now()
        patient = Patient(new_id(), language, at + self._life, consent)
        async with self._database.session() as session:
            values = {"id": patient.session_id, "site": self._site, "token": token_hash(token), "language": language}
            await session.execute(_CREATE, values | {"now": at, "expires": patient.expires_at})
            if consent:
                await session.execute(_CONSENT, {"id": patient.session_id, "version": self.notice_version, "now": at})
        return patient, token

    async def consent(self, patient: Patient, notice_version: str) -> None:
        """Keep that the patient accepted the notice. Raises VersionConflict if it is not the current one."""
        if notice_version != self.notice_version:
            raise VersionConflict("this is not the current notice; show that of GET /v1/widget/config and ask again")
        async with self._database.session() as session:
            values = {"id": patient.session_id, "version": notice_version, "now": self._now()}
            await session.execute(_CONSENT, values)

    async def end(self, patient: Patient) -> None:
        """Let the token open nothing any more, here and in streams; what was written stays for staff."""
        async with self._database.session() as session:
            await session.execute(_END, {"id": patient.session_id, "now": self._now()})

    async def stands(self, patient: Patient) -> bool:
        """Whether the session may go on, for what outlives a request."""
        async with self._database.statement() as session:
            return bool(await session.scalar(_STANDS, {"id": patient.session_id, "now": self._now()}))

    async def authenticate(self, token: str) -> Patient:
        """The session of a token. Raises NotSignedIn, SessionExpired."""
        values = {"token": token_hash(token), "site": self._site, "version": self.notice_version}
        async with self._database.statement() as session:
            row = (await session.execute(_FIND, values)).first()
        if row is None:
            raise NotSignedIn("start a session first (POST /v1/sessions) and send its token")
        if row.expires_at <= self._now():
            raise SessionExpired("this session has ended; start a new one")
        return Patient(row.id, row.language, row.expires_at, row.consented)
