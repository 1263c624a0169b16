"""Staff sign in and out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api.deps import STAFF_COOKIE, ServicesDep, SessionDep, SignedInDep
from app.api.errors import documented
from app.api.schemas import SignedIn, SignInIn, UserOut
from app.auth.staff import Staff
from app.errors import Forbidden, NotSignedIn, SessionExpired, StoreUnavailable, TooManyRequests


def build_router() -> APIRouter:
    """``/v1/staff/sign-in``, ``sign-out`` and ``me``."""
    router = APIRouter(prefix="/v1/staff", tags=["staff"])

    @router.post(
        "/sign-in", summary="Sign in", response_model=SignedIn,
        responses=documented(NotSignedIn, TooManyRequests, StoreUnavailable),
    )  # fmt: skip
    async def sign_in(body: SignInIn, services: ServicesDep, request: Request, response: Response) -> SignedIn:
        """A session for a local account. Ten wrong passwords in a row let the account rest for 15 minutes."""
        services.address_rate.check(f"sign-in:{request.client.host if request.client else ''}")
        try:
            staff, token = await services.staff.sign_in(body.username, body.password.get_secret_value())
        except (NotSignedIn, TooManyRequests) as refused:
            async with services.database.session() as session:
                details = {"outcome": type(refused).__name__}
                actor = await services.staff.known(session, body.username)
                await services.audit.append(session, actor, "staff.sign_in_refused", "session", details)
            raise
        async with services.database.session() as session:
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
        """End the session."""
        await services.staff.sign_out(session, staff)
        await services.audit.append(session, staff.username, "staff.sign_out", staff.id)
        response.delete_cookie(STAFF_COOKIE, path="/", httponly=True, samesite="strict", secure=services.secure_cookies)

    @router.get(
        "/me", summary="Who is signed in", response_model=UserOut, responses=documented(NotSignedIn, SessionExpired)
    )
    async def me(staff: SignedInDep) -> UserOut:
        """The signed-in member of staff."""
        return user_out(staff)

    return router


def user_out(staff: Staff) -> UserOut:
    """Without the session."""
    return UserOut(id=staff.id, username=staff.username, display_name=staff.display_name, roles=list(staff.roles))
