import torch

tensors = [torch.randn(3, 4) for _ in range(5)]

x = torch.randn(10)
y = x if x.sum() > 0 else -x

for param in model.parameters():
    print(param.shape)
