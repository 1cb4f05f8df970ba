"""Settings of signing in at the city's identity provider."""

import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings


def _address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.query or parts.fragment or not parts.hostname or parts.username):
        raise ValueError(
            "it is the provider's address as its discovery document names it, without query, fragment or user"
        )
    return value


class SignInSettings(BaseSettings):
    """Settings of signing in, from the environment."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # type: ignore[assignment]

    oidc_issuer: Annotated[str, Field(pattern=r"^(https?://\S+)?$"), AfterValidator(_address)] = Field(
        default="",
        description="OIDC_ISSUER: address of the identity provider, as its tokens name it (`iss`); empty: nobody signs in",
    )
    oidc_client_id: str = Field(
        default="", description="OIDC_CLIENT_ID: what the provider calls this system; needed with OIDC_ISSUER"
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""),
        description="OIDC_CLIENT_SECRET: the client's secret; empty: a public client, which PKCE alone protects",
    )
    oidc_scopes: Annotated[str, Field(pattern=r"^openid( [!#-\[\]-~]+)*$")] = Field(
        default="openid profile email",
        description="OIDC_SCOPES: what is asked for, `openid` first, such as `openid profile groups`",
    )
    oidc_audience: Annotated[str, Field(min_length=1)] = Field(
        default="xinxiang",
        description="OIDC_AUDIENCE: the `aud` that access tokens for the APIs must have; another than OIDC_CLIENT_ID",
    )
    oidc_ca_file: Path | None = Field(
        default=None,
        description="OIDC_CA_FILE: certificates (PEM) that the provider's is checked by; without it the system's",
    )
    roles_file: Path = Field(
        default=Path("deploy/sample/roles.yaml"),
        description="ROLES_FILE: from the provider's claims to subject, mailbox and roles (YAML)",
    )
    session_secrets: SecretStr = Field(
        default=SecretStr(""),
        description="SESSION_SECRETS: one or more texts of at least 32 characters, separated by commas, the same everywhere; the first "
        "makes sessions and forms, all read them; `python -m shared.security.keys new` makes one",
    )
    session_hours: Annotated[float, Field(gt=0, le=24)] = Field(
        default=8.0, description="SESSION_HOURS: after how many hours staff must sign in again"
    )

    def secrets(self) -> tuple[bytes, ...]:
        """Return the session secrets, the one that makes sessions first."""
        return tuple(
            part.strip().encode() for part in self.session_secrets.get_secret_value().split(",") if part.strip()
        )

    def problems(self) -> list[str]:
        """Return what is wrong between the settings: each names one and says what to do."""
        wrong = []
        if any(len(secret) < 32 for secret in self.secrets()):
            wrong.append(
                "SESSION_SECRETS: each needs at least 32 characters; make one with `python -m shared.security.keys new`"
            )
        if not self.oidc_issuer:
            return wrong
        if not self.oidc_client_id:
            wrong.append("OIDC_CLIENT_ID: set it to what the provider calls this system; OIDC_ISSUER is set")
        if self.oidc_ca_file is not None:
            try:
                ssl.create_default_context(cafile=str(self.oidc_ca_file))
            except OSError as error:
                wrong.append(f"OIDC_CA_FILE: {self.oidc_ca_file} holds no certificates that can be read: {error}")
        if not self.secrets():
            wrong.append(
                "SESSION_SECRETS: set it, the same for all services; `python -m shared.security.keys new` makes one. OIDC_ISSUER is set"
            )
        if self.oidc_client_id == self.oidc_audience:
            wrong.append(
                "OIDC_AUDIENCE: it must be another than OIDC_CLIENT_ID, or ID tokens, which are for signing in only, would open the APIs"
            )
        return wrong
