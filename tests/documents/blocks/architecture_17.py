import torch
import torch.nn as nn
import torch.optim as optim

x = torch.randn(10)

x = torch.randn(10, requires_grad=True)
y = x.sum()
y.backward()

layer = nn.Linear(10, 5)
