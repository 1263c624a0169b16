"""The notice that a patient accepts: who answers, who reads, how long it is kept. Consents keep its version."""

from __future__ import annotations

from app.contracts.site import Site

_TEXT_VERSION = "2026-11"
"""To be changed with the text."""

_TEXT = {
    "en": (
        "You are writing to an {assistant}, a computer program. It answers from the approved articles of {site}. "
        "It is not a doctor or a nurse and it gives no diagnosis.",
        "Names, numbers and addresses are taken out before the program reads your words. "
        "Care team staff may read this chat. It is kept for {days} days.",
        "In an emergency call {emergency}. You can ask for a person at any time.",
    ),
    "es": (
        "Usted escribe a un asistente de inteligencia artificial ({assistant}), un programa de computadora. Responde "
        "con los artículos aprobados de {site}. No es médico ni enfermero y no da diagnósticos.",
        "Los nombres, números y direcciones se quitan antes de que el programa lea sus palabras. "
        "El equipo de atención puede leer este chat. Se guarda {days} días.",
        "En una emergencia llame al {emergency}. Puede pedir hablar con una persona en cualquier momento.",
    ),
}
_LABEL = {"en": "AI assistant. Not a person.", "es": "Asistente de IA. No es una persona."}


def notice_version(site: Site) -> str:
    """What a consent is given to: the text, and how long the site keeps a chat. Where one changes patients are asked
    anew.
    """
    return f"{_TEXT_VERSION}.{site.retention_days}d"


def notice(site: Site, language: str) -> tuple[list[str], str]:
    """Paragraphs of the notice, and the label that stands beside the assistant's name."""
    values = {
        "assistant": site.assistant_name, "site": site.name, "days": site.retention_days,
        "emergency": site.emergency_phone,
    }  # fmt: skip
    language = language if language in _TEXT else "en"
    return [paragraph.format(**values) for paragraph in _TEXT[language]], _LABEL[language]
