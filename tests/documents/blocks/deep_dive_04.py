import torch

t = torch.randn(3, 4, 5)

print(f"text: {t.shape}")           # torch.Size([3, 4, 5])
print(f"text: {t.dim()}")           # 3
print(f"text: {t.numel()}")     # 60
print(f"text: {t.dtype}")       # torch.float32
print(f"text: {t.device}")          # cpu
print(f"text: {t.requires_grad}")  # False

print(f"text: {t.stride()}")        # (20, 5, 1)
print(f"text: {t.is_contiguous()}")  # True
