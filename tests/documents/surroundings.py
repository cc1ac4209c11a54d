"""What the code blocks of the five documents leave unsaid.

A block is a fragment: it uses names that its document has introduced in prose or in an earlier block. ``SURROUNDINGS``
gives these. ``MENDED`` corrects what the documents themselves got wrong, and nothing else. ``RAISES`` names the blocks
that show a mistake on purpose, or need a GPU that the test machine may lack. ``WAITS_FOR`` lists the blocks whose areas
are still to be built; such a block fails the test the day it runs.
"""

from __future__ import annotations

TORCH = "import torch\nimport torch.nn as nn\n"
OPTIM = TORCH + "import torch.optim as optim\n"
LOADER = "from torch.utils.data import DataLoader, TensorDataset\n"

#: A classifier, its data, and everything that a training loop uses.
TRAINING = (
    OPTIM
    + LOADER
    + """
class MyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Linear(10, 10)
        self.fc = nn.Linear(10, 2)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)))

ModelClass = MyModel
model = MyModel()
device = torch.device("cpu")
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.01)
data, target = torch.randn(8, 10), torch.randint(0, 2, (8,))
dataset = TensorDataset(torch.randn(48, 10), torch.randint(0, 2, (48,)))
dataloader = train_loader = DataLoader(dataset, batch_size=8)
num_epochs, epoch = 2, 1
output = model(data)
loss = criterion(output, target)
"""
)

SCHEDULED = (
    TRAINING
    + """
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
train_loss = val_loss = 0.5
"""
)

SURROUNDINGS: dict[str, str] = {
    "architecture_06": TORCH + "model = nn.Linear(10, 5)\n",
    "architecture_10": TORCH,
    "architecture_12": TRAINING
    + """
num_mini_batches = 2
large_batch, target = torch.randn(8, 10), torch.randint(0, 2, (4,))
input = torch.randn(4, 10)

def split_batch(batch):
    return torch.split(batch, 4)
""",
    "architecture_14": TORCH,
    "architecture_15": TORCH + "model = nn.Linear(10, 5)\n",
    "architecture_18": TORCH,
    "deep_dive_05": TORCH,
    "deep_dive_17": TORCH,
    "deep_dive_18": "from collections import OrderedDict\n" + TORCH + "import torch.nn.functional as F\n",
    "deep_dive_20": TORCH + "import torch.nn.functional as F\n",
    "deep_dive_22": TORCH
    + """
class Model(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.base, self.classifier = nn.Linear(3, 3), nn.Linear(3, 2)

plain_linear, nn_linear = nn.Linear, Model
loss = Model(10, 2)(torch.randn(4, 10)).sum()
new_lr = 0.5
""",
    "deep_dive_23": OPTIM
    + """
model = nn.Linear(10, 2)
warmup_epochs, num_epochs = 2, 3

def train(*anything):
    optimizer.step()

def validate(*anything):
    return 0.5
""",
    "deep_dive_25": TORCH
    + LOADER
    + """
class Labelled(TensorDataset):
    labels = [0, 1, 2, 1] * 16

dataset = Labelled(torch.randn(64, 3), torch.tensor(Labelled.labels))
""",
    "deep_dive_27": TORCH
    + LOADER
    + """
def SimpleNet(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

train_dataset = TensorDataset(torch.randn(64, 784), torch.randint(0, 10, (64,)))
val_dataset = TensorDataset(torch.randn(32, 784), torch.randint(0, 10, (32,)))
""",
    "deep_dive_28": TORCH
    + """
max_epochs = 30
model = nn.Linear(2, 2)

def train(*anything):
    pass

def validate(*anything):
    return 1.0
""",
    "deep_dive_29": SCHEDULED
    + "torch.save(model.state_dict(), 'model.pth')\ntorch.save(model.state_dict(), 'pretrained.pth')\n",
    "deep_dive_30": TORCH
    + "model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=16), nn.ReLU())\ninput_data = torch.randn(2, 3, 224, 224)\n",
    "deep_dive_31": TORCH + "model = nn.Linear(2, 2)\n",
    "deep_dive_32": TRAINING + "epochs = 1\n",
    "deep_dive_33": TRAINING,
    "deep_dive_35": TORCH + "import torch.nn.functional as F\nfrom torchvision import models\n",
    "deep_dive_36": TORCH,
    "deep_dive_41": TORCH + "model, input = nn.Linear(4, 2), torch.randn(3, 4)\n",
    "deep_dive_42": TRAINING,
    "introduction_03": TORCH,
    "introduction_07": OPTIM
    + """
LinearRegressionModel = nn.Linear

def load_data():
    x = torch.randn(16, 1)
    return x, 3 * x

def train(model, criterion, optimizer, x, y):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()

def test(model, x, y):
    assert model(x).shape == y.shape
""",
    "notes_04": TRAINING,
    "notes_05": TORCH + LOADER + "train_dataset = TensorDataset(torch.randn(64, 3), torch.arange(64))\n",
    "notes_06": TRAINING,
    "notes_08": TRAINING,
    "notes_09": TRAINING,
    "notes_10": TRAINING,
    "notes_11": TRAINING,
    "notes_12": TRAINING,
    "notes_13": TRAINING,
    "notes_14": TRAINING,
    "notes_15": TRAINING,
    "notes_16": TRAINING,
    "notes_17": TRAINING,
    "engineers_02": TORCH,
}

#: (what the block says, what it plainly meant)
MENDED: dict[str, list[tuple[str, str]]] = {
    "deep_dive_20": [  # the logits and targets of the part on binary cross entropy are used where there are classes
        (
            "criterion = nn.NLLLoss()\n",
            "criterion = nn.NLLLoss()\nlogits, targets = torch.randn(3, 5), torch.tensor([1, 0, 4])\n",
        )
    ],
    "deep_dive_22": [("model = nn.Linear(10, 2)", "model = nn_linear(10, 2)")],
    "notes_01": [("torch.matmul(x, y)", "torch.matmul(x, y.T)"), ("x.reshape(2, 6)", "x.reshape(2, 3)")],
    "engineers_01": [("3d_tensor", "tensor_3d")],
}

#: Blocks that end in an error: its class, and what its message says.
RAISES: dict[str, tuple[type[BaseException], str]] = {
    "architecture_10": (RuntimeError, "leaf"),
}

#: Blocks that ask for a GPU by name: without one, PyTorch's own answer is an error, too.
NEEDS_CUDA = frozenset(
    "architecture_06 architecture_13 architecture_14 deep_dive_05 deep_dive_27 deep_dive_29 deep_dive_31".split()
)

#: Blocks that read the usual data sets from ``./data``; a test has no network, so it puts small ones there.
READS_DATA = frozenset({"deep_dive_24", "deep_dive_37"})

#: Blocks that load published weights; a test puts some into the folder where they are looked for.
LOADS_WEIGHTS = frozenset({"deep_dive_35", "deep_dive_37"})

#: Blocks that take longer than a few seconds.
SLOW = frozenset({"deep_dive_37"})

#: Blocks of areas that are still to come.
WAITS_FOR: dict[str, str] = {}
