import torch

a = torch.tensor([1., 2., 3.])
b = torch.tensor([4., 5., 6.])

print(a + b)
print(a - b)
print(a * b)
print(a / b)
print(a ** 2)
print(a % 2)

m1 = torch.randn(2, 3)
m2 = torch.randn(3, 4)

result = m1 @ m2
result = torch.mm(m1, m2)
result = torch.matmul(m1, m2)

batch_m1 = torch.randn(10, 2, 3)
batch_m2 = torch.randn(10, 3, 4)
result = torch.bmm(batch_m1, batch_m2)  # (10, 2, 4)

dot = torch.dot(a, b)

t = torch.tensor([[1., 2., 3.], [4., 5., 6.]])

print(t.sum())
print(t.sum(dim=0))
print(t.sum(dim=1))
print(t.mean())
print(t.std())
print(t.var())
print(t.max())
print(t.min())
print(t.argmax())
print(t.argmin())

x = torch.tensor([1., 2., 3.])
print(torch.exp(x))
print(torch.log(x))
print(torch.sqrt(x))
print(torch.abs(x))
print(torch.sin(x))
print(torch.cos(x))
print(torch.tanh(x))

print(a > b)
print(a == b)
print(torch.eq(a, b))
print(torch.gt(a, b))
print(torch.lt(a, b))
print(torch.all(a > 0))
print(torch.any(a > 2))
