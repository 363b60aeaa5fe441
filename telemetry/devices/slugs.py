"""Slugs from names that people write: ASCII, unique, and stable once given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from django.db.models import Q, QuerySet

from .models import Device, DeviceGroup

MOST_CHARACTERS = 64
# Above this many names it is cheaper to read all slugs than to ask for each.
ASKED_ONE_BY_ONE = 20
# Letters that no decomposition turns into ASCII.
_LATIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ł": "l", "đ": "d", "ð": "d"}
    | {"þ": "th", "ı": "i", "ħ": "h", "ŋ": "n"}
)


def slug_of(name: str) -> str:
    """`name` as a slug, `""` if it has no Latin letter. Pure, not unique."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LATIN)
    ascii_only = plain.encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:MOST_CHARACTERS]
    return slug.rstrip("-") if re.search(r"[a-z]", slug) else ""


def slug_for(name: str) -> str:
    """A slug for a device of this name that no living device has."""
    return slugs_for([name])[0]


def slugs_for(device_names: Sequence[str]) -> list[str]:
    """As `slug_for`, for several at once: all differ, equal names too."""
    bases = [slug_of(name) or "device-" for name in device_names]
    taken = _taken(Device.objects.alive(), set(bases))
    # Thousands of equal names must not each count from the start.
    numbers: dict[str, int] = {}
    slugs = []
    for base in bases:
        slug, numbers[base] = _free(base, taken, numbers.get(base, 1))
        taken.add(slug)
        slugs.append(slug)
    return slugs


def group_slug_for(name: str) -> str:
    """A slug for a device group of this name that no group has."""
    base = slug_of(name) or "group-"
    return _free(base, _taken(DeviceGroup.objects.all(), {base}))[0]


def _taken(
    rows: QuerySet[Device] | QuerySet[DeviceGroup], bases: Collection[str]
) -> set[str]:
    if len(bases) <= ASKED_ONE_BY_ONE:
        # The cut leaves room for a number: see `_numbered`.
        starts = [Q(slug__startswith=base[: MOST_CHARACTERS - 8]) for base in bases]
        rows = rows.filter(Q(*starts, _connector=Q.OR))
    return set(rows.order_by().values_list("slug", flat=True))


def _free(base: str, taken: Collection[str], number: int = 1) -> tuple[str, int]:
    """`base` itself or with the first free number from `number`, and that number.

    A base that ends with a hyphen always gets a number.
    """
    if number == 1 and not base.endswith("-"):
        if base not in taken:
            return base, 1
        number = 2
    while _numbered(base, number) in taken:
        number += 1
    return _numbered(base, number), number


def _numbered(base: str, number: int) -> str:
    ending = f"-{number}"
    return base.rstrip("-")[: MOST_CHARACTERS - len(ending)].rstrip("-") + ending
