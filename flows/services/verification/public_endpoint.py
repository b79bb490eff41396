"""What stands between users and the replicas: the name's DNS, the load balancer, the certificate."""

import socket
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from flows.core.errors import EdgeNotInOrder
from flows.services.process.command import Say
from flows.services.verification import dns, tls

CONNECT = 3.0
"""Seconds to get a connection."""


@dataclass(frozen=True)
class PublicEndpoint:
    """Where users ask: `url` (scheme, host and port), looked up at `resolver` (address and port; None: the
    machine's own way), which has to lead to `load_balancer` (empty: what the Service reports)."""

    url: str
    resolver: str | None = None
    load_balancer: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The name or address that users type."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_https(self) -> bool:
        """Whether a certificate belongs to it."""
        return urlsplit(self.url).scheme == "https"

    @property
    def port(self) -> int:
        """The URL's, or its scheme's."""
        return urlsplit(self.url).port or (443 if self.is_https else 80)

    def resolve(self) -> tuple[str, ...]:
        """The addresses that users are led to now; errors as of `dns.addresses`."""
        return dns.addresses(self.host, self.resolver)

    def require_in_order(
        self, reported: tuple[str, ...], say: Say, *, valid_for: timedelta = tls.EXPIRES_SOON
    ) -> None:
        """Check that the host resolves to the load balancer alone, that one of its addresses accepts a
        connection, and that its certificate is good, and stays so for `valid_for`.

        `reported` is what the Service says its load balancer is: addresses, or names, as some clouds have it.
        `EdgeNotInOrder` says what is wrong. `ResolverUnavailable`, worth another try: DNS did not answer.
        """
        addresses = self.resolve()
        self.require_certificates(self.require_reached(addresses, reported, say), valid_for)
        say(f"{self.url} is in order: {self.host} leads to {_listed(addresses)}.")

    def require_reached(
        self, addresses: tuple[str, ...], reported: tuple[str, ...], say: Say
    ) -> tuple[str, ...]:
        """As `require_in_order`, of the load balancer alone: those of the host's addresses that accept
        connections."""
        self._require_led_to(addresses, self.load_balancer or reported, say)
        refusals = {address: refusal for address in addresses if (refusal := self._refusal(address))}
        for address, refusal in refusals.items():
            say(f"No connection to {self.url} at {address}: {refusal}.")
        if len(refusals) == len(addresses):
            raise EdgeNotInOrder(
                f"No load balancer accepts a connection for {self.url} at {_listed(addresses)}, "
                f"port {self.port}: {'; '.join(refusals.values())}.",
                "Check that it runs, listens there, and can be reached from this machine.",
                finding="refused",
            )
        return tuple(address for address in addresses if address not in refusals)

    def require_certificates(self, addresses: tuple[str, ...], valid_for: timedelta) -> None:
        """`EdgeNotInOrder` unless the certificate at each of these addresses is good, and stays so for that
        long. By plain HTTP there is none."""
        if self.is_https:
            for address in addresses:
                self._require_certificate(address, valid_for)

    def _require_led_to(self, addresses: tuple[str, ...], expected: tuple[str, ...], say: Say) -> None:
        if not expected:
            say(
                f"{self.host} leads to {_listed(addresses)}; whether that is the load balancer can't be "
                "checked yet: the Service reports none, and slipway.toml names none."
            )
            return
        theirs = {ip_address(address) for name in expected for address in dns.addresses(name, self.resolver)}
        if elsewhere := tuple(address for address in addresses if ip_address(address) not in theirs):
            raise EdgeNotInOrder(
                f"{self.host} leads to {_listed(elsewhere)}, but its load balancer is {_listed(expected)}.",
                "Correct the DNS record, or load_balancer in slipway.toml.",
                finding="elsewhere",
            )

    def _refusal(self, address: str) -> str | None:
        try:
            self._connect(address).close()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _require_certificate(self, address: str, valid_for: timedelta) -> None:
        try:
            complaint = tls.complaint(partial(self._connect, address), self.host, valid_for)
        except OSError as error:
            complaint = f"can't be had, because the connection broke: {error}"
        if complaint is not None:
            raise EdgeNotInOrder(
                f"The certificate of {self.url} at {address} {complaint}.",
                "Renew it or put the right one in place at the load balancer; "
                "an authority of your own belongs into the file that SSL_CERT_FILE names.",
                finding="certificate",
            )

    def _connect(self, address: str) -> socket.socket:
        return socket.create_connection((address, self.port), timeout=CONNECT)


def _listed(addresses: tuple[str, ...]) -> str:
    return ", ".join(addresses)
