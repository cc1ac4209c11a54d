"""Which lane carries what is on a GPU, and how long it may take; lanes here only say what they were told."""

from distrt.comm.lanes import Lanes
from distrt.comm.local import run_local


class Told:
    """A lane."""

    timeout_s = None

    def set_timeout(self, timeout_s):
        self.timeout_s = timeout_s


def test_the_lane_of_another_group_of_the_same_ranks_waits_as_long():
    def run(group):
        lanes = Lanes(lambda group, device: Told(), group)
        lanes.set_timeout(7.0)
        return lanes.on(0).timeout_s, lanes.another(group).on(0).timeout_s

    assert run_local(run, 1) == [(7.0, 7.0)]
