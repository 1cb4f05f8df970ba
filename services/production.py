"""What is refused in production (`PROFILE=production`): everything that is for demonstrations, all named at once, each with what to do."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from services.settings import DEMONSTRATION_SECRET, SAMPLE, Settings
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import TokenSettings, is_for_demonstrations, is_inline

UNSAID: Mapping[str, str] = {
    "PORTAL_LIMIT": (
        "say it, such as 60/3600 with PORTAL_ADDRESSES, or empty for any number: who posts JSON passes by the challenge"
    ),
    "TRUSTED_PROXIES": (
        "say how many proxies of yours stand before the services, 0 for none: limits count by the address they tell"
    ),
    "KAFKA_SECURITY_PROTOCOL": (
        "say SASL_SSL, with credentials of this service; PLAINTEXT only where nobody else reaches the network of the brokers"
    ),
    "MONGO_URL": "say where the store is, with user, password and ?tls=true unless nobody else reaches its network",
}
"""Settings that must be said, whatever they say, and why: their defaults are for one machine on which nobody else is."""


def refusals(
    settings: Settings, tokens: TokenSettings, sign_in: SignInSettings, environ: Mapping[str, str] = os.environ
) -> list[str]:
    """Return what these settings have of a demonstration; nothing where they are not for production."""
    if settings.profile != "production":
        return []
    return [
        *_secrets(settings),
        *_key_set(tokens, sign_in),
        *_provider(sign_in),
        *_addresses(settings),
        *_unsaid(environ),
    ]


def _secrets(settings: Settings) -> Iterator[str]:
    if settings.receipt_secret.get_secret_value() == DEMONSTRATION_SECRET:
        yield (
            "RECEIPT_SECRET: it is the demonstration's; set one of at least 32 random characters, the same for all services, and never "
            "change it (`python -m shared.security.keys new` makes one)"
        )
    elif len(settings.receipt_secret.get_secret_value().encode()) < 32:
        yield "RECEIPT_SECRET: fewer than 32 characters; set a longer one, unless letters were received with this one"
    if settings.clock_file is not None:
        yield "CLOCK_FILE: it moves the clock, by which letters fall due; take it out"


def _key_set(tokens: TokenSettings, sign_in: SignInSettings) -> Iterator[str]:
    source = tokens.jwks_file
    inline = is_inline(source)
    file = None if inline else Path(source)
    if file is not None and not file.is_file():
        if not sign_in.oidc_issuer:
            yield "OIDC_ISSUER: set it to the address of the city's identity provider (or JWKS_FILE to its keys): nobody could sign in"
        return
    try:
        keys = json.loads(source if file is None else file.read_text("utf-8"))["keys"]
        made_here = any(is_for_demonstrations(key) for key in keys)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # the verifier says what is wrong with it
    if made_here or (file is not None and (file.parent / "signing.pem").exists()):
        yield (
            f"JWKS_FILE: {'the inline key set' if inline else source} has the key of the built-in token command, which makes anybody "
            "anything; name the key set of your identity provider, or set OIDC_ISSUER and take the file away"
        )


def _provider(sign_in: SignInSettings) -> Iterator[str]:
    if not sign_in.oidc_issuer:
        return
    if not sign_in.oidc_issuer.startswith("https://"):
        yield "OIDC_ISSUER: it is not https, so passwords and tokens could be read and changed on the way; set its https address"
    if sign_in.roles_file == SignInSettings.model_fields["roles_file"].default:
        yield "ROLES_FILE: it is the sample; set it to a file of your own (deploy/sample/roles.yaml says how)"


def _addresses(settings: Settings) -> Iterator[str]:
    if settings.directory_file == SAMPLE:
        yield "DIRECTORY_FILE: it is the sample with invented staff; set it to the city's directory"
    if not settings.site_url.startswith("https://"):
        yield "SITE_URL: set it to the https address of the site: sign-ins come back to it, feeds and cookies depend on it"
    if settings.letter_url == Settings.model_fields["letter_url"].default:
        yield "LETTER_URL: codes on slips would lead to this machine; set it to an address that staff can open"


def _unsaid(environ: Mapping[str, str]) -> Iterator[str]:
    said = {name.upper() for name in environ}
    yield from (f"{name}: {why}" for name, why in UNSAID.items() if name not in said)
