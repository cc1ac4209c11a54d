import torch

x = torch.tensor([1.0], requires_grad=True)
y = x + 2
print(y.grad_fn)  # <AddBackward0 object>

print(x.is_leaf)
print(y.is_leaf)

y.retain_grad()
z = y ** 2
z.backward()
print(y.grad)
