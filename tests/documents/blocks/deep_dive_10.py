import torch

a = torch.tensor([[1, 2], [3, 4]])
b = torch.tensor([[5, 6], [7, 8]])

cat_0 = torch.cat([a, b], dim=0)
cat_1 = torch.cat([a, b], dim=1)

stack = torch.stack([a, b], dim=0)  # (2, 2, 2)

t = torch.arange(12).reshape(4, 3)

parts = torch.split(t, 2, dim=0)
parts = torch.split(t, [1, 3], dim=0)

chunks = torch.chunk(t, 2, dim=0)

rows = torch.unbind(t, dim=0)
