"""hub_project.inbox: asyncio's Queue and Event, without what they take when idle."""

from __future__ import annotations

import asyncio

from hub_project.inbox import Gate, Inbox


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_events_come_in_order_however_they_were_put():
    inbox = Inbox()
    got = []

    async def read() -> None:
        while True:
            got.append(await inbox.get())

    reading = asyncio.ensure_future(read())
    sent = 0
    for count in (0, 1, 2, 5, 1, 100):
        for _ in range(count):
            inbox.put_nowait(sent)
            sent += 1
        await settle()
        assert got == list(range(sent))
        assert inbox.empty()
    reading.cancel()


async def test_events_wait_for_a_reader_that_comes_later():
    inbox = Inbox()
    assert inbox.empty()
    inbox.put_nowait("a")
    inbox.put_nowait("b")
    assert not inbox.empty()
    assert [await inbox.get(), await inbox.get()] == ["a", "b"]
    assert inbox.empty()


async def test_a_reader_that_is_cancelled_takes_no_event_with_it():
    inbox = Inbox()
    for has_come in (False, True):
        reading = asyncio.ensure_future(inbox.get())
        await settle()
        if has_come:
            inbox.put_nowait("a")
        reading.cancel()
        # The next one begins before the first has ended.
        next_one = asyncio.ensure_future(inbox.get())
        await settle()
        if not has_come:
            assert not next_one.done()
            inbox.put_nowait("a")
        assert await asyncio.wait_for(next_one, 30) == "a"
        assert reading.cancelled()


async def test_nothing_is_kept_for_what_is_not_there():
    inbox = Inbox()
    for _ in range(3):
        inbox.put_nowait("a")
    for _ in range(3):
        await inbox.get()
    assert inbox._events == ()
    assert not isinstance(Gate()._closed, asyncio.Event)


async def test_a_closed_gate_is_waited_at_until_it_opens():
    gate = Gate()
    await asyncio.wait_for(gate.wait(), 30)
    gate.clear()
    gate.clear()
    waiting = [asyncio.ensure_future(gate.wait()) for _ in range(3)]
    await settle()
    assert not any(each.done() for each in waiting)
    gate.set()
    gate.clear()
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    gate.set()
    gate.set()
    await asyncio.wait_for(gate.wait(), 30)
