"""Notes of what is wrong in the history, for a person to see. Nothing is deleted."""

from __future__ import annotations

import logging

from django.db import DatabaseError
from django.utils import timezone

from .models import Fault

logger = logging.getLogger(__name__)

MOST_CHARACTERS = 256


def note(
    series_id: int, resolution_seconds: int, start_us: int, end_us: int, reason: str
) -> None:
    """Note a fault once, however often it is met.

    Never raises DatabaseError: who has met a fault goes on, noted or not.
    """
    place = {
        "series_id": series_id,
        "resolution_seconds": resolution_seconds,
        "start_us": start_us,
        "end_us": end_us,
    }
    try:
        # Looked up first: a reader that meets an old fault again writes nothing.
        if Fault.objects.filter(**place).exists():
            return
        logger.error(
            "history of series %s (%s s), %s to %s µs: %s", *place.values(), reason
        )
        fault = Fault(
            **place, reason=reason[:MOST_CHARACTERS], noticed_at=timezone.now()
        )
        Fault.objects.bulk_create([fault], ignore_conflicts=True)
    except DatabaseError:
        logger.exception("a fault of series %s could not be noted", series_id)
