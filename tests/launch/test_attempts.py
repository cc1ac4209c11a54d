"""How long the launcher waits between attempts."""

from launch.attempts import pause_before_restart


def test_the_first_restart_is_at_once_and_a_storm_slows_down() -> None:
    assert [pause_before_restart(count) for count in range(7)] == [0, 0, 0.5, 1, 2, 4, 8]
    assert pause_before_restart(1000) == 30
