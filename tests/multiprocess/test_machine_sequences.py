"""Random collectives on random subgroups of two simulated machines, some of them outstanding while others run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.conformance.ranks import Serving
from tests.property.test_collective_sequences import Step, programs


@pytest.mark.ci
@given(program=programs)
@pytest.mark.timeout(600)
def test_ranks_on_two_machines_run_any_program(two_by_two: Serving, program: list[Step]) -> None:
    steps = json.dumps([step.to_json() for step in program])
    two_by_two.output(f"""
from tests.property.test_collective_sequences import Step, run_program
steps = [Step.from_json(each) for each in json.loads({steps!r})]
run_program(group, steps, kept.setdefault("groups", {{}}))
""")
