import torch

x = torch.tensor([1.0, 2.0, 3.0])

print(f"text: {x.dtype}")          # torch.float32
print(f"text: {x.shape}")              # torch.Size([3])
print(f"text: {x.device}")             # cpu
print(f"text: {x.requires_grad}") # False
