"""Patient sessions, and what the widget shows before one begins."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from app.api.deps import ActingPatientDep, ServicesDep
from app.api.errors import documented
from app.api.notice import notice, notice_version
from app.api.schemas import ConsentIn, ConsentOut, NoticeOut, SessionIn, SessionOut, SiteOut, WidgetConfig
from app.contracts.hours import hours_text, is_open
from app.conversations.views import route_views
from app.errors import NotSignedIn, SessionExpired, StoreUnavailable, TooManyRequests, VersionConflict

EMERGENCY_ROUTES = ("911", "988", "poison_control", "nurse_line")


def build_router() -> APIRouter:
    """``/v1/sessions`` and ``/v1/widget/config``."""
    router = APIRouter(prefix="/v1", tags=["patient"])

    @router.get("/widget/config", summary="What the widget shows first", response_model=WidgetConfig)
    async def widget_config(
        services: ServicesDep,
        lang: Annotated[Literal["en", "es"], Query(description="language of the texts")] = "en",
    ) -> WidgetConfig:
        """Name, notice, emergency numbers and opening hours of the hospital. Needs no session."""
        site = services.site
        paragraphs, label = notice(site, lang)
        return WidgetConfig(
            site=SiteOut(**site.model_dump(include={"id", "name", "short_name", "phone", "demonstration"})),
            assistant_name=site.assistant_name,
            languages=site.languages,
            notice=NoticeOut(version=notice_version(site), text=paragraphs, ai_label=label),
            emergency=route_views(site, EMERGENCY_ROUTES, lang),
            retention_days=site.retention_days,
            max_characters=services.conversations.max_characters,
            chat_open=is_open(site, services.now()),
            chat_hours_text=hours_text(site, lang),
        )

    @router.post(
        "/sessions", status_code=201, summary="Start a session", response_model=SessionOut,
        responses=documented(TooManyRequests, StoreUnavailable),
    )  # fmt: skip
    async def start_session(body: SessionIn, services: ServicesDep, request: Request) -> SessionOut:
        """An anonymous session for one browser. Without consent only emergencies are answered."""
        services.address_rate.check(f"session:{request.client.host if request.client else ''}")
        patient, token = await services.patients.create(body.language, body.consent)
        return SessionOut(
            session_id=patient.session_id, token=token, expires_at=patient.expires_at, consented=patient.consented
        )

    @router.put(
        "/sessions/consent", summary="Accept the notice", response_model=ConsentOut,
        responses=documented(NotSignedIn, SessionExpired, VersionConflict, TooManyRequests, StoreUnavailable),
    )  # fmt: skip
    async def consent(body: ConsentIn, services: ServicesDep, patient: ActingPatientDep) -> ConsentOut:
        """Keep that the patient accepted the notice. Its version must be the current one."""
        await services.patients.consent(patient, body.notice_version)
        return ConsentOut(consented=True)

    @router.delete(
        "/sessions/current", status_code=204, summary="End the session",
        responses=documented(NotSignedIn, SessionExpired, TooManyRequests, StoreUnavailable),
    )  # fmt: skip
    async def end_session(services: ServicesDep, patient: ActingPatientDep) -> None:
        """The token opens nothing any more and its streams end. What was written stays for staff: erase it before."""
        await services.patients.end(patient)

    return router
