import torch

x = torch.tensor([2.0, 3.0], requires_grad=True)
y = torch.tensor([1.0, 1.0], requires_grad=False)

z = x * 2 + y

z.sum().backward()

print(x.grad)  # tensor([2., 2.])
