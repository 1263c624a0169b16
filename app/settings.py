"""Settings, read from the environment (prefix ``BEDSIDE_``) or a ``.env`` file at the edge only: main, cli, bootstrap.

Every field is documented in docs/operations.md; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """How this installation runs. Unsafe combinations are refused at start, with the mend."""

    model_config = SettingsConfigDict(env_prefix="BEDSIDE_", env_file=".env", extra="ignore")

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses demo accounts, demo keys and a demonstration site"
    )
    site: Path = Field(_ROOT / "demo", description="folder with site.yaml and articles/")
    policy_folder: Path | None = Field(
        None, description="folder of the site's own policy bundle; empty: the shipped one"
    )
    policy_key: str = Field("", description="public key (base64, or a path) that policy bundles are signed with")
    policy_strict: bool = Field(
        False, description="refuse a policy bundle that is unsigned, expired or not reviewed by a clinician"
    )
    state: Path = Field(Path("var"), description="folder for the embedded database, keys, caches and adapters")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str = Field("", description="address under which patients reach the service, without trailing slash")
    database_url: SecretStr | None = Field(
        None,
        description="postgresql+psycopg://… of your own PostgreSQL 15+ with pgvector; empty starts the embedded one",
    )
    database_pool: int = Field(10, ge=2, le=200, description="database connections per process")
    key_file: Path | None = Field(
        None, description="file with the key that encrypts patient text; empty: <state>/keys/text.key"
    )
    base_model: str = Field(
        str(_ROOT / "demo" / "model"), description="path or hub id of the base model that the engine serves"
    )
    adapters: Path = Field(_ROOT / "demo" / "adapters", description="folder of adapters to register at start")
    signers: Path | None = Field(
        None,
        description="YAML file of the clinicians who may sign for adapters; then two must have signed before a "
        "promotion (docs/evaluation.md)",
    )
    gate_thresholds: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of your own rules of the gate; only what they passed is promoted; empty: the shipped ones",
    )
    gate_items: str = Field(
        "",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of your own evaluation set; only what passed on it is promoted; empty: the shipped one",
    )
    engine: Literal["auto", "external", "off"] = Field(
        "auto", description="auto starts vLLM itself; external uses engine_url; off answers without a model"
    )
    engine_url: str = Field(
        "", description="address (http://… or unix:/path) of vLLM; several, comma-separated, are replicas"
    )
    engine_arguments: str = Field("", description="more arguments for vLLM, as on its command line")
    max_lora_rank: int = Field(64, description="highest adapter rank that the engine is started for")
    prompt_passages: int = Field(
        1,
        ge=1,
        le=8,
        description="passages put before the model: 1 for the demo model, 3 for the small real one, 4 for larger ones",
    )
    max_tokens: int = Field(192, ge=16, le=2048, description="tokens of one answer")
    max_message_characters: int = Field(4_000, ge=200, le=20_000, description="longest patient message")
    turn_timeout_s: float = Field(30.0, gt=0, description="seconds after which a turn ends in a safe reply")
    session_hours: float = Field(24.0, gt=0, description="life of a patient session")
    staff_session_minutes: float = Field(480.0, gt=0, description="absolute life of a staff session")
    staff_idle_minutes: float = Field(15.0, gt=0, description="staff session ends after this long without a request")
    claim_minutes: float = Field(
        10.0, gt=0, description="minutes after which a claimed urgent call that nobody answers waits for staff again"
    )
    requests_per_minute: int = Field(60, ge=1, description="requests that change something, per patient session")
    demo_accounts: bool = Field(True, description="create the demo nurse and admin on start and print them")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, JSON elsewhere")

    @model_validator(mode="after")
    def _safe(self) -> Settings:
        if self.engine == "external" and not self.engine_url:
            raise ValueError("BEDSIDE_ENGINE=external needs BEDSIDE_ENGINE_URL, such as http://engine:8000")
        if self.policy_strict and not self.policy_key:
            raise ValueError(
                "BEDSIDE_POLICY_STRICT=true needs BEDSIDE_POLICY_KEY, the public key of whoever signs the bundle"
            )
        if self.environment == "production":
            if self.demo_accounts:
                raise ValueError(
                    "set BEDSIDE_DEMO_ACCOUNTS=false in production and create accounts with `bedside users add`"
                )
            if self.key_file is None:
                raise ValueError(
                    "set BEDSIDE_KEY_FILE in production and keep a copy of the file apart from the database"
                )
            if not self.public_url.startswith("https://"):
                raise ValueError(
                    "set BEDSIDE_PUBLIC_URL in production to the address of the service, which must start with https://"
                )
        return self

    @property
    def text_key_file(self) -> Path:
        """Where the text key lies."""
        return self.key_file or self.state / "keys" / "text.key"
