"""Who asks, as far as the connection and our own proxies tell: the address, the host that was asked for, whether it was HTTPS."""

import re
from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.requests import Request

HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
"""A host as it may stand in an address, with or without a port."""


def caller_address(request: Request, trusted_proxies: int) -> str:
    """Return the address of whoever asks: the connection's, or what the outermost trusted proxy saw."""
    hop = _hop(request, "x-forwarded-for", trusted_proxies)
    return hop or (request.client.host if request.client else "")


def is_https(request: Request, trusted_proxies: int) -> bool:
    """Whether the citizen's browser spoke HTTPS, to us or to the outermost trusted proxy (`X-Forwarded-Proto`)."""
    return (_hop(request, "x-forwarded-proto", trusted_proxies) or request.url.scheme).lower() == "https"


def host_asked(request: Request, trusted_proxies: int) -> str:
    """Return host and port that the browser asked for, in lower case; behind proxies as `X-Forwarded-Host` says. Empty: it is no host."""
    host = _hop(request, "x-forwarded-host", trusted_proxies) or request.headers.get("host", "")
    return host.lower() if HOST.fullmatch(host) else ""


def _hop(request: Request, header: str, trusted_proxies: int) -> str:
    """Return what the outermost trusted proxy wrote; proxies that do not add a value each write the same one."""
    if not trusted_proxies:
        return ""
    hops = [hop.strip() for hop in request.headers.get(header, "").split(",") if hop.strip()]
    if header == "x-forwarded-for":
        return hops[-trusted_proxies] if len(hops) >= trusted_proxies else ""
    return hops[-min(trusted_proxies, len(hops))] if hops else ""


def network_of(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 network of an IPv6 one, which is one household."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> 64:x}::/64"
    return str(parsed)
