"""The rules of vo/lanes.py, with a clock of the test's own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vo.lanes import FullError, Lanes, Turn


class Office:
    """Lanes, the queries that were begun, and those that were ended; time stands still until it is moved."""

    def __init__(self, **limits: float) -> None:
        self.now = 0.0
        self.begun: list[Turn] = []
        self.ended: list[Turn] = []
        self.lanes = Lanes(clock=lambda: self.now, interrupt=self.ended.append, **limits)  # type: ignore[arg-type]

    def ask(self, client: str) -> Turn:
        return self.lanes.ask(client, self.begun.append)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.lanes.look()


def test_queries_begin_in_their_order_and_when_there_is_room() -> None:
    office = Office(quick=2, share=2)
    first, second, third = (office.ask("a") for _ in range(3))
    assert office.begun == [first, second]
    office.lanes.leave(first)
    assert office.begun == [first, second, third]


def test_what_takes_long_moves_to_the_slow_lane_and_then_is_stopped() -> None:
    office = Office(quick=3, share=3, slow=1, patience=2)
    turns = [office.ask("a") for _ in range(4)]
    office.wait(1)
    assert office.lanes.state == (1, 3, 0)
    office.wait(1)
    assert (turns[0].stopped, office.ended) == ("", turns[1:3])
    assert office.lanes.state == (0, 1, 1)
    assert all("2 s" in turn.stopped for turn in office.ended)
    assert office.begun == turns  # the slow one's place was free at once
    for turn in turns[1:3]:
        office.lanes.leave(turn)
    # the slow one goes on
    office.wait(1000)
    assert not turns[0].stopped
    assert turns[3].stopped


def test_a_client_with_one_slow_query_is_not_stopped_for_one_with_many() -> None:
    office = Office(quick=6, share=4, slow=2, patience=2)
    many = [office.ask("a") for _ in range(2)]
    office.wait(2)
    one = office.ask("b")
    office.wait(2)
    assert (office.ended, one.slow, one.stopped) == ([many[1]], True, "")
    second = office.ask("b")
    office.wait(2)
    assert office.ended[-1] is second
    assert not one.stopped


def test_a_query_that_was_stopped_too_early_is_stopped_again() -> None:
    office = Office(slow=0)
    turn = office.ask("a")
    for _ in range(3):
        office.wait(10)
    assert office.ended == [turn] * 3


def test_a_client_with_one_query_comes_before_one_with_many() -> None:
    office = Office(quick=3, share=2)
    many = [office.ask("a") for _ in range(50)]
    assert office.begun == many[:2]
    one = office.ask("b")
    assert office.begun[-1] is one  # of the place that no client has alone
    other = office.ask("c")
    office.lanes.leave(many[0])
    assert office.begun[-1] is other


def test_no_more_may_wait_than_is_said() -> None:
    office = Office(quick=1, share=1, waiting=5, waiting_each=3)
    for _ in range(4):
        office.ask("a")
    with pytest.raises(FullError):
        office.ask("a")
    office.ask("b")
    office.ask("c")
    with pytest.raises(FullError):
        office.ask("d")


def test_a_client_that_has_gone_has_no_turn() -> None:
    office = Office(quick=1, share=1)
    running, waiting = office.ask("a"), office.ask("a")
    office.lanes.give_up(waiting, "gone")
    office.lanes.give_up(running, "gone")
    assert (office.ended, running.stopped, office.lanes.state) == ([running], "gone", (0, 1, 0))
    office.lanes.leave(running)
    office.lanes.leave(running)
    assert office.begun == [running]
    assert office.lanes.state == (0, 0, 0)


ACTS = st.lists(st.tuples(st.sampled_from(["ask", "leave", "gone", "wait"]), st.integers(0, 9)), max_size=120)


@given(ACTS)
def test_the_limits_hold_and_nobody_is_forgotten(acts: list[tuple[str, int]]) -> None:
    office = Office(quick=3, share=2, slow=1, patience=2, waiting=8, waiting_each=4)
    alive: list[Turn] = []
    for act, number in acts:
        if act == "ask":
            try:
                alive.append(office.ask("abc"[number % 3]))
            except FullError:
                assert office.lanes.state[0] >= 4
        elif act == "wait":
            office.wait(number / 2)
        elif alive:
            turn = alive.pop(number % len(alive)) if act == "leave" else alive[number % len(alive)]
            if act == "leave" and turn not in office.begun:
                office.lanes.give_up(turn, "gone")
            elif act == "leave":
                office.lanes.leave(turn)
            else:
                office.lanes.give_up(turn, "gone")
                if turn not in office.begun:
                    alive.remove(turn)
        waiting, quick, slow = office.lanes.state
        running = [turn for turn in office.begun if turn in alive]
        assert (quick <= 3, slow <= 1, waiting <= 8) == (True, True, True)
        ending = sum(turn.slow and bool(turn.stopped) for turn in running)
        assert waiting + quick + slow + ending == len(alive)
        held = Counter(turn.client for turn in running if not turn.slow)
        assert all(count <= 2 for count in held.values())
        # nobody waits for a place that he could have
        idle = {turn.client for turn in alive if turn not in office.begun}
        assert quick == 3 or all(held[client] == 2 for client in idle)
        assert len(set(map(id, office.begun))) == len(office.begun)
