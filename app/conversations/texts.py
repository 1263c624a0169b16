"""Sentences of the service itself (not of the assistant), by language. Reviewed together with the policies."""

from __future__ import annotations

_TEXTS = {
    "en": {
        "failed": "I could not answer this safely, so I am asking a person to help you. "
        "In an emergency call {emergency}.",
        "waiting_open": "A person will join you here. You are number {position} in line. "
        "In an emergency call {emergency}.",
        "waiting_closed": "Nobody is at the chat now. People answer {hours}. Your message stays here. "
        "In an emergency call {emergency}.",
        "who_assistant": "{assistant}",
        "who_waiting": "Waiting for a person",
        "who_staff": "{staff}, care team",
        "who_closed": "Ended",
        "withheld": "[This message is kept from view: its identifiers could not be removed.]",
    },
    "es": {
        "failed": "No pude responder esto con seguridad, así que pido que una persona le ayude. "
        "En una emergencia llame al {emergency}.",
        "waiting_open": "Una persona se unirá a este chat. Su turno es el número {position}. "
        "En una emergencia llame al {emergency}.",
        "waiting_closed": "Ahora no hay nadie en el chat. Horario: {hours}. Su mensaje queda aquí. "
        "En una emergencia llame al {emergency}.",
        "who_assistant": "{assistant}",
        "who_waiting": "En espera de una persona",
        "who_staff": "{staff}, equipo de atención",
        "who_closed": "Terminado",
        "withheld": "[This message is kept from view: its identifiers could not be removed.]",
    },
}


def text(name: str, language: str, **values: object) -> str:
    """The sentence ``name`` in ``language`` (English where there is none), with its values filled in."""
    return _TEXTS.get(language, _TEXTS["en"])[name].format(**values)
