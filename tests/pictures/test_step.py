"""The picture of a distributed step: what it says in numbers and in words, and that nothing in it lies outside."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from distrt.pictures.step import Lane, Span, Travel, communication, draw_step, own_times

BACKWARD = Lane(
    0,
    0.0,
    0.010,
    [Span("forward", 0.001, 0.003), Span("backward", 0.003, 0.009), Span("waiting", 0.008, 0.009)],
    [Travel("all_reduce", 0.004, 0.006, 400, (1, 1)), Travel("all_reduce", 0.005, 0.009, 400, (1, 2))],
)


def test_what_is_exposed_is_what_was_waited_for() -> None:
    found = communication(BACKWARD)
    assert found == pytest.approx((0.001, 0.005))
    assert found.hidden_percent == pytest.approx(80)
    assert communication(Lane(0, 0, 1)).hidden_percent is None


def test_time_belongs_to_the_innermost() -> None:
    assert own_times(BACKWARD) == pytest.approx(
        {"forward": 0.002, "backward": 0.005, "script": 0.002, "waiting": 0.001}
    )


def test_the_picture_says_how_much_is_hidden_and_names_ranks_and_colours() -> None:
    other = Lane(1, 0.0, 0.010, [Span("backward", 0.003, 0.009)], [Travel("all_reduce", 0.004, 0.009)])
    root = ElementTree.fromstring(draw_step([BACKWARD, other], "Step 7"))
    texts = ["".join(each.itertext()) for each in root.iter() if each.tag.endswith("}text")]
    assert texts[0] == "90 % of communication hidden"
    assert (
        texts[1] == "Step 7: 5 ms of communication a rank, of which 500 µs held it up" or "0.5 ms" in texts[1]
    )
    assert {"rank 0", "rank 1", "80 % hidden", "100 % hidden", "forward", "backward", "waiting"} <= set(texts)
    assert {"communication, hidden", "communication, exposed"} <= set(texts)


def test_everything_lies_within_the_picture() -> None:
    lanes = [Lane(rank, 0.0, 0.02, BACKWARD.spans, BACKWARD.travels) for rank in range(40)]
    root = ElementTree.fromstring(draw_step(lanes, "x < y & z"))
    left, top, width, height = map(float, root.get("viewBox", "").split())
    for each in root.iter():
        if each.tag.endswith("}rect") and each.get("x"):
            at, width_of = float(each.get("x", 0)), float(each.get("width", 0))
            assert left <= at and at + width_of <= left + width + 0.1
            assert float(each.get("y", 0)) + float(each.get("height", 0)) <= top + height
    told = "".join(root.itertext())
    assert re.search("[78] of 40 ranks", told) and "x < y & z" in told


def test_it_needs_nothing_from_elsewhere_and_knows_day_and_night() -> None:
    drawn = draw_step([BACKWARD], "Step 7")
    assert "prefers-color-scheme:dark" in drawn
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image", drawn)


def test_a_picture_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw_step([], "Step 7")
