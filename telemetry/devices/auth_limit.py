"""Slows guessing of keys, by address. Pure: the time is passed in.

Only failures come here: the key is checked first, so a device with the right key
never waits, whoever guesses behind the same address.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
FIRST_REFUSAL_SECONDS = 60.0
LONGEST_REFUSAL_SECONDS = 900.0
# About half a kilobyte each. The address that has been quiet longest makes room.
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Failures:
    # Those of the last minute that were answered, oldest first.
    answered_at: list[float] = field(default_factory=list)
    last_at: float = 0.0
    refusals: int = 0
    refused_until: float = 0.0


class AuthLimit:
    """Counts failures of each address; after too many it is refused for a while."""

    def __init__(
        self, failures_per_minute: int = 10, most_addresses: int = MOST_ADDRESSES
    ) -> None:
        self._failures_per_minute = failures_per_minute
        self._most_addresses = most_addresses
        self._by_address: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, address: str, now_seconds: float) -> float:
        """Note a failed credential; return for how many seconds it is refused.

        0: tell the client what was wrong. Above: tell it only to wait (`rate`,
        429), whatever it sent. now_seconds: a clock that never goes back.
        """
        failures = self._failures_of(network_of(address), now_seconds)
        failures.last_at = now_seconds
        if now_seconds < failures.refused_until:
            return failures.refused_until - now_seconds
        minute_ago = now_seconds - WINDOW_SECONDS
        failures.answered_at = [at for at in failures.answered_at if at > minute_ago]
        if len(failures.answered_at) < self._failures_per_minute:
            failures.answered_at.append(now_seconds)
            return 0.0
        wait: float = min(
            FIRST_REFUSAL_SECONDS * 2**failures.refusals, LONGEST_REFUSAL_SECONDS
        )
        failures.refusals = min(failures.refusals + 1, 10)
        failures.refused_until = now_seconds + wait
        return wait

    def __len__(self) -> int:
        return len(self._by_address)

    def _failures_of(self, network: str, now_seconds: float) -> _Failures:
        failures = self._by_address.get(network)
        if failures is None or self._is_forgiven(failures, now_seconds):
            failures = self._by_address[network] = _Failures()
        self._by_address.move_to_end(network)
        if len(self._by_address) > self._most_addresses:
            self._by_address.popitem(last=False)
        return failures

    @staticmethod
    def _is_forgiven(failures: _Failures, now_seconds: float) -> bool:
        quiet_since = max(failures.last_at, failures.refused_until)
        return now_seconds - quiet_since >= LONGEST_REFUSAL_SECONDS


def network_of(address: str) -> str:
    """What is counted as one: an IPv4 address, or the /64 that one IPv6 host owns."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((ip, 64), strict=False).network_address)
    return str(ip)
