import torch

x = torch.randn(3, 4)

print(f"text: {x.storage()}")
print(f"text: {x.stride()}")
print(f"text: {x.storage_offset()}")  # 0
print(f"text: {x.is_contiguous()}")  # True
