import torch

x = torch.tensor([1.], requires_grad=True)
y = x ** 3

dy_dx = torch.autograd.grad(y, x, create_graph=True)[0]
print(f"dy/dx = {dy_dx}")  # 3

d2y_dx2 = torch.autograd.grad(dy_dx, x, create_graph=True)[0]
print(f"dtexty/dxtext = {d2y_dx2}")  # 6

x = torch.randn(3, requires_grad=True)
y = x ** 2

jacobian = torch.autograd.functional.jacobian(lambda x: x**2, x)
print(jacobian)

parameters = [torch.randn(10, requires_grad=True) for _ in range(3)]
for p in parameters:
    p.grad = torch.randn_like(p) * 100

torch.nn.utils.clip_grad_norm_(parameters, max_norm=1.0)

torch.nn.utils.clip_grad_value_(parameters, clip_value=0.5)
