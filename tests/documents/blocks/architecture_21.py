import torch
import time

x = torch.randn(1000, 1000, requires_grad=True)

start = time.time()
for _ in range(100):
    y = x * 2
    y = y.sum()
    y.backward()
    x.grad.zero_()
print(f"text: {time.time() - start:.4f}s")

@torch.jit.script
def optimized_op(x):
    return (x * 2).sum()

start = time.time()
for _ in range(100):
    y = optimized_op(x)
    y.backward()
    x.grad.zero_()
print(f"JIT text: {time.time() - start:.4f}s")
