"""The one error tree. It knows no HTTP; ``app.api.errors`` maps it to problem+json in one place.

::

    BedsideError                     every error that we raise on purpose
    ├── InputError                   the caller can mend it
    │   ├── MessageTooLong           over the limit of characters
    │   ├── MessageEmpty             nothing left after normalisation
    │   ├── InvalidContent           binary, control characters, wrong encoding, bad file
    │   └── ConfigurationError       a setting, site.yaml, article or policy is wrong; says the file and the mend
    │       ├── PolicyRefused        a policy bundle cannot be used; `reasons` has every fault with file and line
    │       └── SiteRefused          a site.yaml cannot be used; `reasons` has every fault with its field
    ├── AccessError
    │   ├── NotSignedIn              no valid session or token
    │   ├── SessionExpired           the token was valid once
    │   ├── Forbidden                signed in, but the role does not allow it
    │   ├── ConsentRequired          the patient has not accepted yet
    │   └── TooManyRequests          over a rate or concurrency limit
    ├── NotFound                     unknown, or somebody else's: never tells which
    ├── ConflictError
    │   ├── VersionConflict          If-Match or compare-and-swap lost; read again
    │   ├── AlreadyClaimed           another member of staff owns the conversation
    │   ├── IdempotencyMismatch      same key, other body
    │   ├── ConversationClosed       nothing can be added any more
    │   ├── LegalHold                the hospital has to keep the conversation for now
    │   ├── OutcomeRequired          a crisis call is closed with what came of it and a note
    │   └── NotPromotable            no gate report, or a failed one
    └── DependencyError              something that we depend on failed; every one has a safe outcome
        ├── EngineError
        │   ├── EngineUnavailable    down, starting, or the circuit is open
        │   ├── EngineTimeout        no token within the limit
        │   ├── EngineProtocolError  it answered nonsense
        │   └── AdapterNotLoaded     the engine does not know this adapter
        ├── AdapterInvalid           the files are not an adapter that vLLM can load
        ├── StoreUnavailable         database unreachable, or its disk is full
        ├── RedactionFailed          a recognizer raised or timed out: the model is not asked
        ├── RetrievalFailed          the index did not answer
        └── GuardrailFailed          a check raised, hung or returned nonsense
"""

from __future__ import annotations

from collections.abc import Sequence


class BedsideError(Exception):
    """Base of the tree.

    ``str(error)`` is one plain sentence for the person who can mend it. It never carries a patient's words.
    """


class InputError(BedsideError):
    """The caller sent something that can be corrected and sent again."""


class MessageTooLong(InputError):
    """The message is over the limit of characters."""


class MessageEmpty(InputError):
    """Nothing is left of the message after normalisation."""


class InvalidContent(InputError):
    """Binary, control characters, a wrong encoding or a file that cannot be read."""


class ConfigurationError(InputError):
    """A setting or a data file of the site is wrong; the message names it and says the mend."""


class PolicyRefused(ConfigurationError):
    """A policy bundle cannot be used; ``reasons`` has a sentence for each fault, with its file and line.

    ``lister`` is the command that lists all faults; of a long list the message shows the first.
    """

    SHOWN = 5

    def __init__(self, bundle: str, reasons: Sequence[str], *, lister: str = "bedside policies check --strict") -> None:
        self.reasons = tuple(reasons)
        shown = "; ".join(self.reasons[: self.SHOWN])
        more = len(self.reasons) - self.SHOWN
        rest = f"; and {more} more: `{lister}` lists all" if more > 0 else ""
        super().__init__(f"the policy bundle {bundle} is refused: {shown}{rest}")


class SiteRefused(ConfigurationError):
    """A ``site.yaml`` cannot be used; ``reasons`` has a sentence for each fault, with its field."""

    def __init__(self, file: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"{file}: {'; '.join(self.reasons)} (`bedside site check` names all that is missing at once)")


class AccessError(BedsideError):
    """The caller may not do this."""


class NotSignedIn(AccessError):
    """No valid session or token came with the request."""


class SessionExpired(AccessError):
    """The token was valid once; start a new session."""


class Forbidden(AccessError):
    """Signed in, but the role does not allow it."""


class ConsentRequired(AccessError):
    """The patient has not accepted the notice yet (emergency text is given all the same)."""


class TooManyRequests(AccessError):
    """Over a rate or concurrency limit; ``retry_after_s`` says when to come back (seconds)."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotFound(BedsideError):
    """Unknown, or it belongs to somebody else: the caller is never told which."""


class ConflictError(BedsideError):
    """The state is not the one that the caller assumed."""


class VersionConflict(ConflictError):
    """A compare-and-swap lost: read the object again and decide anew."""


class AlreadyClaimed(ConflictError):
    """Another member of staff owns the conversation."""


class IdempotencyMismatch(ConflictError):
    """The idempotency key was used before with another body."""


class ConversationClosed(ConflictError):
    """The conversation has ended; nothing can be added."""


class LegalHold(ConflictError):
    """The hospital has to keep the conversation until the hold on it is released."""


class OutcomeRequired(ConflictError):
    """A crisis call ends only with one of the outcomes of crisis calls and a note."""


class NotPromotable(ConflictError):
    """The adapter has no passing gate report, or its files no longer match it."""


class DependencyError(BedsideError):
    """Something that the service depends on failed. Every such failure has a tested safe outcome."""


class EngineError(DependencyError):
    """The engine did not do what was asked."""


class EngineUnavailable(EngineError):
    """The engine is down, still starting, or its circuit is open."""


class EngineTimeout(EngineError):
    """No token came within the limit."""


class EngineProtocolError(EngineError):
    """The engine answered something that is not its protocol."""


class AdapterNotLoaded(EngineError):
    """The engine does not know this adapter version."""


class AdapterInvalid(DependencyError):
    """The files are not an adapter that vLLM can load; the message says which rule they break."""


class StoreUnavailable(DependencyError):
    """The database cannot be reached or cannot write."""


class RedactionFailed(DependencyError):
    """A recognizer raised or timed out: the text must not go on to the model."""


class RetrievalFailed(DependencyError):
    """The index of articles did not answer."""


class GuardrailFailed(DependencyError):
    """A check raised, hung or returned nonsense: treat as failed."""
