"""Staff sign in and out."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request, Response

from app.api.deps import STAFF_COOKIE, Services, ServicesDep, SessionDep, SignedInDep
from app.api.errors import documented
from app.api.rates import RateLimit
from app.api.schemas import SignedIn, SignInIn, UserOut
from app.auth.staff import Staff
from app.errors import Forbidden, NotSignedIn, SessionExpired, StoreUnavailable, TooManyRequests

PER_ADDRESS = 60
"""Sign-ins of one address in a minute, thirty of them at once."""

KEPT_REFUSALS = 20
"""Refused sign-ins of one account that the audit log keeps in a minute; of all unknown names together as many."""


def build_router() -> APIRouter:
    """``/v1/staff/sign-in``, ``sign-out`` and ``me``."""
    router = APIRouter(prefix="/v1/staff", tags=["staff"])
    address_rate, kept = RateLimit(PER_ADDRESS, burst=30), RateLimit(KEPT_REFUSALS)

    async def keep_refusal(services: Services, username: str, refused: Exception) -> None:
        """Into the audit log, for which there is no way out: strangers must not be able to fill it."""
        async with services.database.session() as session:
            actor = await services.staff.known(session, username)
            with contextlib.suppress(TooManyRequests):
                kept.check(actor)
                details = {"outcome": type(refused).__name__}
                await services.audit.append(session, actor, "staff.sign_in_refused", "session", details)

    @router.post(
        "/sign-in", summary="Sign in", response_model=SignedIn,
        responses=documented(NotSignedIn, TooManyRequests, StoreUnavailable),
    )  # fmt: skip
    async def sign_in(
        body: SignInIn, services: ServicesDep, session: SessionDep, request: Request, response: Response
    ) -> SignedIn:
        """A session for a local account. Ten wrong passwords in a row let the account rest for 15 minutes."""
        address_rate.check(request.client.host if request.client else "")
        with services.staff.turn():
            try:
                staff, token = await services.staff.sign_in(session, body.username, body.password.get_secret_value())
            except (NotSignedIn, TooManyRequests) as refused:
                await keep_refusal(services, body.username, refused)
                raise
        await services.audit.append(session, staff.username, "staff.sign_in", staff.id)
        response.set_cookie(
            STAFF_COOKIE, token, httponly=True, samesite="strict", secure=services.secure_cookies, path="/",
            expires=staff.expires_at,
        )  # fmt: skip
        return SignedIn(token=token, user=user_out(staff), expires_at=staff.expires_at)

    @router.post(
        "/sign-out", status_code=204, summary="Sign out", responses=documented(NotSignedIn, SessionExpired, Forbidden)
    )
    async def sign_out(services: ServicesDep, session: SessionDep, staff: SignedInDep, response: Response) -> None:
        """End the session. For both roles."""
        await services.staff.sign_out(session, staff)
        await services.audit.append(session, staff.username, "staff.sign_out", staff.id)
        response.delete_cookie(STAFF_COOKIE, path="/", httponly=True, samesite="strict", secure=services.secure_cookies)

    @router.get(
        "/me", summary="Who is signed in", response_model=UserOut, responses=documented(NotSignedIn, SessionExpired)
    )
    async def me(staff: SignedInDep) -> UserOut:
        """The signed-in member of staff. For both roles."""
        return user_out(staff)

    return router


def user_out(staff: Staff) -> UserOut:
    """Without the session."""
    return UserOut(id=staff.id, username=staff.username, display_name=staff.display_name, roles=list(staff.roles))
