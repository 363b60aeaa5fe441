"""Why a socket ended, in the words of who looks after the device."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..protocol import close_codes

# Close code → what happened, for who looks after the device.
MEANINGS = {
    close_codes.NORMAL: gettext_lazy("the device ended it"),
    1001: gettext_lazy("the device went away"),
    1002: gettext_lazy("the device broke the rules of WebSocket"),
    1005: gettext_lazy("the device ended it"),
    1006: gettext_lazy("the connection broke, or the hub did, without a word"),
    1007: gettext_lazy("the device sent text that is not UTF-8"),
    1009: gettext_lazy("the device sent a message over the server's limit"),
    1011: gettext_lazy("the device did not answer a ping"),
    1012: gettext_lazy("the server stopped"),
    close_codes.BAD_REQUEST: gettext_lazy("the hub could not read its messages"),
    close_codes.UNAUTHORIZED: gettext_lazy("its key is wrong, revoked or expired"),
    close_codes.FORBIDDEN: gettext_lazy("the device is disabled or deleted"),
    close_codes.NOT_FOUND: gettext_lazy("it used a wrong address"),
    close_codes.NO_SUBPROTOCOL: gettext_lazy(
        "it speaks no version of the protocol that the hub knows"
    ),
    close_codes.SILENT: gettext_lazy("the device was silent for too long"),
    close_codes.SUPERSEDED: gettext_lazy("the same device connected again"),
    close_codes.TOO_LARGE: gettext_lazy("the device sent a message that is too long"),
    close_codes.WINDOW: gettext_lazy(
        "the device sent or connected more often than it may"
    ),
    close_codes.INTERNAL: gettext_lazy("a fault in the hub; its log has the reason"),
    close_codes.DRAINING: gettext_lazy(
        "the hub stopped, or could not store what it sent"
    ),
}


def sentence(code: int) -> str:
    """What a close code says happened, with the code."""
    meaning = MEANINGS.get(code, _("no code that the hub knows"))
    return _("%(meaning)s (%(code)d)") % {"meaning": meaning, "code": code}
