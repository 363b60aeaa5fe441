from __future__ import annotations

import pytest
from channels.layers import InMemoryChannelLayer

from telemetry.bus.topics import CONTROL_GROUP, group_of, process_topic


@pytest.mark.parametrize("topic", ["plant-a", "device:boiler_7", "0", "a" * 88])
def test_every_topic_has_a_group_that_layers_allow(topic):
    assert InMemoryChannelLayer().require_valid_group_name(group_of(topic))


def test_different_topics_have_different_groups():
    topics = ["a", "device:a", "device-a", "a-device", "hub", "process-7"]
    topics += [process_topic(7), process_topic(70)]
    groups = {group_of(topic) for topic in topics} | {CONTROL_GROUP}
    assert len(groups) == len(topics) + 1


@pytest.mark.parametrize("topic", ["", "ä", "a.b", "a b", "a" * 89, "a\n"])
def test_what_no_group_can_be_named_after_is_refused(topic):
    with pytest.raises(ValueError, match="expected a topic"):
        group_of(topic)
