"""One distrt-launch on each node: Slurm's variables, or its PMI, tell it all that torchrun's flags would."""

import pytest

from tests.slurm.conftest import PYTHON

SHOW = """
import os
import distrt as torch
import distrt.distributed as dist
dist.init_process_group("gloo")
ones = torch.ones(3)
dist.all_reduce(ones)
print("place", *(os.environ[name] for name in ("RANK", "WORLD_SIZE", "GROUP_RANK")), ones.tolist()[0], flush=True)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("way", ["--mpi=pmi2", ""], ids=["PMI-2", "Slurm's variables"])
def test_launchers_on_two_nodes_find_one_another(slurm, way):
    (slurm.folder / "show.py").write_text(SHOW)
    secret = "" if way else "export DISTRT_JOB_SECRET=" + "ab" * 16 + ";"
    run = slurm.run(
        f"{secret} srun {way} --nodes=2 --ntasks-per-node=1 {PYTHON} -m launch --nproc-per-node 2 show.py"
    )
    assert run.exit_code == 0, run
    places = sorted(line.split("place ")[1] for line in run.stdout.splitlines() if "place " in line)
    assert places == [f"{rank} 4 {rank // 2} 4.0" for rank in range(4)]
