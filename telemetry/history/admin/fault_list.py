"""Open faults of the history, in a person's words, and dismissing one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from ...devices.models import Series
from ..blocks import RAW
from ..journal import from_us
from ..models import Fault

# The newest; the others are counted.
MOST_LISTED = 100
PERMISSION = "telemetry.change_fault"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. device_id None: the series, or the device, is gone, or it is none."""

    id: int
    device_id: int | None
    where: str
    kind: str
    start_at: datetime | None
    end_at: datetime | None
    reason: str
    noticed_at: datetime


def open_faults() -> QuerySet[Fault]:
    """The faults that nobody has dismissed."""
    return Fault.objects.filter(dismissed_at=None)


def rows() -> list[Row]:
    """The newest faults. Two queries."""
    faults = list(open_faults().order_by("-noticed_at", "-id")[:MOST_LISTED])
    return _rows(faults)


def _rows(faults: Sequence[Fault]) -> list[Row]:
    ids = {fault.series_id for fault in faults}
    series = Series.objects.filter(id__in=ids).select_related("device")
    known = {each.id: each for each in series}
    return [_row(fault, known.get(fault.series_id)) for fault in faults]


def _row(fault: Fault, series: Series | None) -> Row:
    is_journal = fault.series_id == 0
    if is_journal:
        where, kind = _("the journal"), _("readings as they arrived")
    else:
        where = (
            _("a series that is gone (%(id)d)") % {"id": fault.series_id}
            if series is None
            else f"{series.device.name} · {series.name}"
        )
        is_raw = fault.resolution_seconds == RAW
        kind = _("raw readings") if is_raw else _("5-minute summaries")
    return Row(
        fault.pk,
        series.device_id if series and series.device.deleted_at is None else None,
        where,
        kind,
        None if is_journal else _moment(fault.start_us),
        None if is_journal else _moment(fault.end_us),
        fault.reason,
        fault.noticed_at,
    )


def _moment(us: int) -> datetime | None:
    """None for a time that damage has moved out of the calendar."""
    try:
        return from_us(us)
    except OverflowError:
        return None


def may_dismiss(request: HttpRequest) -> bool:
    """Whether this person may say that a fault is dealt with."""
    return request.user.has_perm(PERMISSION)


@require_POST
def dismiss(request: HttpRequest, fault_id: int) -> HttpResponse:
    """A person has seen the fault, and need not see it again."""
    user = request.user
    if not user.is_authenticated or not may_dismiss(request):
        raise PermissionDenied
    with transaction.atomic():
        fault = open_faults().filter(pk=fault_id).first()
        if fault is None:
            messages.warning(request, _("That fault was dismissed before."))
        else:
            (row,) = _rows([fault])
            LogEntry.objects.create(
                user=user,
                content_type=ContentType.objects.get_for_model(Fault),
                object_id=str(fault_id),
                object_repr=f"{row.where}: {row.reason}"[:200],
                action_flag=CHANGE,
                change_message=_("Dismissed."),
            )
            fault.dismissed_at = timezone.now()
            fault.save(update_fields=["dismissed_at"])
            messages.success(
                request, _("Dismissed the fault of %(where)s.") % {"where": row.where}
            )
    return HttpResponseRedirect(reverse("admin:storage"))
