"""What the pages of the documentation leave unsaid: the names that their blocks use, and the files that they read."""

from __future__ import annotations

_MODEL = """
import distrt
import distrt as torch
import distrt.distributed as dist
from distrt import nn

model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
loader = [(torch.randn(8, 8), torch.randint(0, 2, (8,))) for _ in range(3)]
"""

_WRAPPED = (
    _MODEL
    + """
from distrt.nn.parallel import DistributedDataParallel
from distrt.nn.utils import clip_grad_norm_

dist.init_process_group()
"""
)

_RUN = """
steps = 1000
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
scaler, config = torch.amp.GradScaler("cpu"), {"lr": 1e-3}
"""

_MEETING = "import distrt.distributed as dist\ndist.init_process_group()\ndist.barrier()\n"

#: By page: Python that runs before its first block, in its namespace.
BEFORE: dict[str, str] = {
    "docs/checkpoints.md": _MODEL
    + _RUN
    + """
torch.save(model.state_dict(), "model.pt")
state = {"model": model, "optimizer": optimizer}
dist.init_process_group()
""",
    "docs/clusters.md": _MODEL
    + """
import os, sys
from distrt.checkpoint import Checkpoints

steps, run = 3, {"model": model}

def train(step):
    pass
""",
    "docs/data.md": _MODEL
    + """
from distrt.utils.data import DataLoader, DistributedSampler, TensorDataset

epochs, data = 2, TensorDataset(torch.randn(12, 3))
sampler = DistributedSampler(data, num_replicas=2, rank=0)
loader = DataLoader(data, batch_size=2, sampler=sampler)
""",
    "docs/files.md": _MODEL
    + """
model = nn.ModuleDict({"embedding": nn.Embedding(200, 4)})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
""",
    "docs/fully_shard.md": _MODEL
    + """
from distrt.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from distrt.distributed.fsdp import fully_shard

dist.init_process_group()

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x):
        return self.layers[1](self.layers[0](x))

model = Model()
""",
    "docs/hangs.md": """
import os, subprocess

subprocess.run(["distrt-launch", "--nproc-per-node", "2", "train.py"], check=True, capture_output=True, timeout=60)
os.rename(os.path.join("runs", os.listdir("runs")[0]), "runs/20261121-100203-a1b2c3")
""",
    "docs/jit.md": _MODEL + "example_input = torch.randn(3, 8)\n",
    "docs/launching.md": _MODEL + "loss, batch = 0.5, range(4)\n",
    "docs/mixed_precision.md": _WRAPPED
    + "from distrt.comm.reduction import ReduceOp\ngroup = dist.group.WORLD\n",
    "docs/onnx.md": _MODEL + "model = nn.Sequential(nn.Conv2d(3, 2, 3, stride=16), nn.ReLU())\n",
    "docs/reproducible.md": _WRAPPED,
    "docs/sharding.md": _WRAPPED + "loss, rank, path = criterion, 0, 'whole.pt'\n",
    "docs/tensor_parallel.md": _MODEL
    + """
dist.init_process_group()

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

model = nn.Module()
model.blocks = nn.Sequential(Block(), Block())
""",
}

#: By page: files in its folder.
FILES: dict[str, dict[str, str]] = {
    "docs/hangs.md": {"train.py": _MEETING},
    "docs/clusters.md": {"train.py": ""},
    "docs/gpu.md": {"train.py": ""},
    "docs/compat.md": {"train.py": "import torch\nassert torch.__version__.startswith('2.13.0+distrt')\n"},
    "docs/report.md": {"train.py": _MEETING},
    "docs/launching.md": {
        "train.py": _MEETING,
        "package/train.py": "",
    },
}
