"""How fast one device may send: a token bucket with time passed in. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """`rate` readings a second, `burst` at once; a rate of 0 is no limit."""

    rate: float
    burst: float
    tokens: float = -1.0
    at_seconds: float = 0.0

    def take(self, readings: int, now_seconds: float) -> float:
        """Take in `readings`; returns how many seconds to wait before the next."""
        if not self.rate:
            return 0.0
        if self.tokens < 0 and not self.at_seconds:
            self.tokens = self.burst
        else:
            earned = max(0.0, now_seconds - self.at_seconds) * self.rate
            self.tokens = min(self.burst, self.tokens + earned)
        self.at_seconds = now_seconds
        self.tokens -= readings
        return max(0.0, -self.tokens / self.rate)
