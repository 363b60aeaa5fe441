"""`/bench/charts?n=50&hz=10`: a group's page, fed by its own script, to be measured.

Routed with DEBUG only (urls.py). The page, its modules and its drawing are those of
every group; the socket, history and, to go faster than time, the clock are not:
static/telemetry/bench/bench.js. `benchmarks/browser.py` reads what it measures.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ...devices.models import DeviceGroup
from ..readings import picker
from ..value_table import ValueTable

# What may be asked for: least, usual, most.
CHARTS = (1, 50, 200)
RATE_HZ = (1, 10, 20)
DEVICES = (1, 3, 100)
# Simulated hours that are fed as fast as the page takes them; 0: at the clock's pace.
HOURS = (0, 0, 48)


@require_safe
@never_cache
@login_required
def charts(request: HttpRequest) -> HttpResponse:
    """A group of `devices` devices with `n` metrics each, sent `hz` times a second."""
    numbers = {
        "charts": _number(request, "n", CHARTS),
        "hz": _number(request, "hz", RATE_HZ),
        "devices": _number(request, "devices", DEVICES),
        "hours": _number(request, "hours", HOURS),
    }
    shown_range = picker.shown_range(request)
    table = ValueTable([], 0, False, [], numbers["devices"], 0, [])
    context = {
        "group": DeviceGroup(slug="bench", name="Bench"),
        "table": table,
        "now": timezone.now(),
        **shown_range,
        "config": {
            "group": "bench",
            "live": "/ws/live",
            "intervalMs": 100,
            "readings": "/bench/readings.json",
            "device": "/d/",
            "catalogue": [],
            **shown_range["range"],
        },
        "bench": {**numbers, "page": static("telemetry/js/app.js")},
    }
    return render(request, "telemetry/bench.html", context)


def _number(request: HttpRequest, name: str, bounds: tuple[int, int, int]) -> int:
    """The number asked for, or the nearest that there may be."""
    least, usual, most = bounds
    text = request.GET.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) < 9
    return min(max(int(text), least), most) if is_number else usual
