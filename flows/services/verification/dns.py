"""Addresses of a host, as the DNS server that an environment names gives them, or else this machine."""

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from dns.exception import Timeout
from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers, Resolver

from flows.core.errors import EdgeNotInOrder, ResolverUnavailable

LOOK_UP = 3.0
"""Seconds for the whole look-up."""

ONE_TRY = 1.0
"""Seconds until a lost datagram is sent again."""

_CORRECT = "Create the record, or correct public_url or resolver in slipway.toml."


def addresses(host: str, resolver: str | None = None) -> tuple[str, ...]:
    """IPv4 first; `resolver` is an address with an optional port, None the machine's own way of looking up.

    `EdgeNotInOrder` where the name has no address, `ResolverUnavailable`, which may pass, where none answers.
    """
    if is_address(host):
        return (host,)
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3: no DNS server is asked
        return ("127.0.0.1",)
    addresses_found = _asked_of(resolver, host) if resolver else _asked_of_this_machine(host)
    in_order = sorted({ip_address(address) for address in addresses_found}, key=lambda a: (a.version, int(a)))
    return tuple(str(address) for address in in_order)


def is_address(host: str) -> bool:
    """Whether `host` needs no look-up: an IPv4 or IPv6 address, without brackets."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _asked_of(resolver: str, host: str) -> Iterable[str]:
    where = urlsplit(f"//{resolver}")
    asked = Resolver(configure=False)
    asked.nameservers = [where.hostname or ""]
    asked.port = where.port or 53
    asked.timeout = ONE_TRY
    try:
        return list(asked.resolve_name(f"{host.rstrip('.')}.", lifetime=LOOK_UP, search=False).addresses())
    except NXDOMAIN as error:
        raise _no_address(f"{resolver} has no record for {host}.") from error
    except NoAnswer as error:
        raise _no_address(f"{resolver} has no address record for {host}.") from error
    except Timeout as error:
        raise _unavailable(resolver, host, f"does not answer within {LOOK_UP:g} s") from error
    except NoNameservers as error:
        raise _unavailable(resolver, host, f"can't tell: {error}") from error


def _asked_of_this_machine(host: str) -> Iterable[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _unavailable("of this machine", host, f"can't tell: {error.strerror}") from error
        raise _no_address(f"{host} does not resolve on this machine: {error.strerror}.") from error


def _no_address(happened: str) -> EdgeNotInOrder:
    return EdgeNotInOrder(happened, _CORRECT, finding="unresolved")


def _unavailable(resolver: str, host: str, why: str) -> ResolverUnavailable:
    return ResolverUnavailable(
        f"The DNS server {resolver}, asked for {host}, {why}.",
        "Check that it runs and can be reached from here, or name another as resolver in slipway.toml.",
    )
