"""Settings: safe defaults, and unsafe combinations refused at start with the mend."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.settings import Settings


def test_the_defaults_need_no_configuration() -> None:
    settings = Settings(_env_file=None)
    assert settings.engine == "auto"
    assert settings.site.name == "demo"
    assert settings.text_key_file == settings.state / "keys" / "text.key"


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"environment": "production"}, "BEDSIDE_DEMO_ACCOUNTS=false"),
        ({"environment": "production", "demo_accounts": False}, "BEDSIDE_KEY_FILE"),
        ({"environment": "production", "demo_accounts": False, "key_file": "k", "public_url": "http://x"}, "https://"),
        ({"environment": "production", "demo_accounts": False, "key_file": "k"}, "BEDSIDE_PUBLIC_URL.*https://"),
        ({"engine": "external"}, "BEDSIDE_ENGINE_URL"),
        ({"port": 99999}, "port"),
        ({"policy_strict": True}, "BEDSIDE_POLICY_KEY"),
    ],
)
def test_unsafe_settings_are_refused_with_the_mend(values: dict[str, object], mend: str) -> None:
    with pytest.raises(ValidationError, match=mend):
        Settings(_env_file=None, **values)
