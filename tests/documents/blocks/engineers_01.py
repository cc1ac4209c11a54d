import torch

scalar = torch.tensor(3.14)
vector = torch.tensor([1, 2, 3])
matrix = torch.tensor([[1,2], [3,4]])
3d_tensor = torch.randn(2, 3, 4)

print(f"text: {scalar.shape}")    # torch.Size([])
print(f"text: {vector.shape}")    # torch.Size([3])
print(f"text: {matrix.shape}")    # torch.Size([2, 2])
print(f"3Dtext: {3d_tensor.shape}") # torch.Size([2, 3, 4])
