import torch

t1 = torch.tensor([1, 2, 3])
t2 = torch.tensor([[1, 2], [3, 4]])

import numpy as np
np_array = np.array([1, 2, 3])
t3 = torch.from_numpy(np_array)

t4 = torch.tensor(t1)
t5 = t1.clone()
t6 = t1.detach()

zeros = torch.zeros(3, 4)
ones = torch.ones(3, 4)
full = torch.full((3, 4), 7)

eye = torch.eye(4)

empty = torch.empty(3, 4)

rand = torch.rand(3, 4)

randn = torch.randn(3, 4)

randint = torch.randint(0, 10, (3, 4))

normal = torch.normal(mean=0, std=1, size=(3, 4))

arange = torch.arange(0, 10, 2)         # [0, 2, 4, 6, 8]
linspace = torch.linspace(0, 1, 5)      # [0, 0.25, 0.5, 0.75, 1]
logspace = torch.logspace(0, 2, 3)      # [1, 10, 100]

x = torch.tensor([[1, 2], [3, 4]])
zeros_like = torch.zeros_like(x)
ones_like = torch.ones_like(x)
rand_like = torch.rand_like(x.float())
