"""Who is known here, put together from the settings: staff who sign in at the city's provider, and holders of tokens."""

import logging
from pathlib import Path

from services.settings import Settings
from shared.directory import Directory
from shared.security.claims import Roles
from shared.security.oidc import Provider
from shared.security.sessions import Sessions
from shared.security.sign_in import SignIn
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import NoKeySet, TokenSettings, TokenVerifier, is_inline

log = logging.getLogger(__name__)


def sign_in_of(chosen: SignInSettings, settings: Settings, directory: Directory) -> SignIn | None:
    """Return who is known by the provider that the settings name; None: they name none.

    Raises:
        RolesError: the roles file is wrong by itself.
        ValueError: the settings contradict each other.
    """
    problems = chosen.problems()
    if problems:
        raise ValueError("These settings cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))
    if not chosen.oidc_issuer:
        return None
    sessions = Sessions(
        chosen.secrets(),
        chosen.session_hours * 3600,
        trusted_proxies=settings.trusted_proxies,
        always_https=settings.hsts or settings.site_url.startswith("https://"),
    )
    return SignIn(Provider(chosen), sessions, Roles(chosen.roles_file, directory))


def verifier_of(tokens: TokenSettings, settings: Settings, sign_in: SignIn | None) -> TokenVerifier | NoKeySet:
    """Return what verifies tokens of the key set; where a provider is set and no key set is there, what refuses them.

    Raises:
        KeySetError: the key set is unusable.
    """
    file = tokens.jwks_file
    if sign_in is not None and not is_inline(file) and not Path(file).is_file():
        log.warning(
            "there is no key set: only tokens of the identity provider are taken",
            extra={"name_of_setting": "JWKS_FILE"},
        )
        return NoKeySet(sign_in.provider.issuer)
    return TokenVerifier.from_settings(tokens, demonstrations=settings.profile == "demonstration")
