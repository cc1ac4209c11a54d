import torch

x = torch.tensor([2.0], requires_grad=True)

y = x ** 2
z = y + 3

z.backward()

try:
    z.backward()  # RuntimeError!
except RuntimeError as e:
    print("text")

x = torch.tensor([2.0], requires_grad=True)
y = x ** 2
y.backward(retain_graph=True)
y.backward()
