"""How a topic is called on the channel layer. Pure.

A topic is any subject that processes tell each other about, such as `plant-a` or
`device:boiler-7`; the bus does not know what it stands for.
"""

from __future__ import annotations

import re

# The channel layer allows ASCII letters, digits, - _ and . in fewer than 100
# characters; the prefix takes some of them.
_TOPIC = re.compile(r"[A-Za-z0-9_:-]{1,88}\Z")

# Every process is in this group: who is there, and who wants what.
CONTROL_GROUP = "hub.control"


def group_of(topic: str) -> str:
    """The layer's group of `topic`; different topics have different groups.

    Raises ValueError for a topic that no group can be named after.
    """
    if _TOPIC.match(topic) is None:
        raise ValueError(f"expected a topic of [A-Za-z0-9_:-]{{1,88}}, got {topic!r}")
    # A topic has no dot of its own: nothing else maps to this name.
    return "hub.t." + topic.replace(":", ".")


def process_topic(writer: int) -> str:
    """The topic on which the process that has this writer hears its commands.

    No group or device is called so: their slugs have no colon of their own.
    """
    return f"process:{writer}"
