import torch

x = torch.tensor([1., 2., 3.], requires_grad=True)
y = torch.tensor([4., 5., 6.], requires_grad=True)

z = x * y
out = z.sum()

out.backward()

print(f"x.grad: {x.grad}")  # tensor([4., 5., 6.])
print(f"y.grad: {y.grad}")  # tensor([1., 2., 3.])

x = torch.tensor([1.], requires_grad=True)

for i in range(3):
    y = x ** 2
    y.backward()
    print(f"text{i+1}text: x.grad = {x.grad}")

x = torch.tensor([1.], requires_grad=True)
for i in range(3):
    if x.grad is not None:
        x.grad.zero_()
    y = x ** 2
    y.backward()
    print(f"text{i+1}text: x.grad = {x.grad}")
