"""What the disk budget could take: what is old enough for `budget.steps`, in bytes.

It touches nothing of the last day, so a database may be over its budget for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Sum
from django.db.models.functions import Length

from ...protocol.clock import DAY_US
from ..models import Block, TextReading
from ..space import ROW_BYTES

# A row of TextReading with its index, without the text.
TEXT_BYTES = 60


@dataclass(frozen=True, slots=True)
class Reach:
    """Blocks and texts that end more than a day ago: about so many bytes."""

    older_bytes: int


def reach(now_us: int) -> Reach:
    """How much is old enough to go. Looks at every row: blocks, on a thread."""
    before_us = now_us - DAY_US
    of_blocks = Block.objects.filter(end_us__lt=before_us).aggregate(
        rows=Count("id"), size=Sum(Length("data"))
    )
    of_texts = TextReading.objects.filter(time_us__lt=before_us).aggregate(
        rows=Count("id"), size=Sum(Length("value"))
    )
    return Reach(
        int(of_blocks["size"] or 0)
        + of_blocks["rows"] * ROW_BYTES
        + int(of_texts["size"] or 0)
        + of_texts["rows"] * TEXT_BYTES
    )
