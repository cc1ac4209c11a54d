import torch

x = torch.tensor([2.0], requires_grad=True)

y = x ** 2
z = y * 3

print(f"z.grad_fn: {z.grad_fn}")  # MulBackward0
print(f"y.grad_fn: {y.grad_fn}")  # PowBackward0

z.backward()

print(f"x.grad: {x.grad}")  # tensor([12.]) = dz/dx = 3 * 2 * x
