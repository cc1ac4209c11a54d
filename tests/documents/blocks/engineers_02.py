x = torch.tensor(2.0, requires_grad=True)

y = x**2 + 3*x + 1

y.backward()

print(f"x = {x.item()}")
print(f"y = {y.item()}")
print(f"text dy/dx = {x.grad.item()}")
