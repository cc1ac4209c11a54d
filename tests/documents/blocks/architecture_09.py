import torch

x = torch.tensor([1.0, 2.0, 3.0])

y = x + 5
print(id(x), id(y))

x.add_(5)
print(x)  # tensor([6., 7., 8.])

x.mul_(2)     # x *= 2
x.zero_()     # x = 0
x.fill_(5)    # x = 5
