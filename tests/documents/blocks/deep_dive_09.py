import torch

"""
text
1. text1
2. text
3. text

text:
    a: (3, 4)
    b: (   4)  text (1, 4) text (3, 4)
    text: (3, 4)
"""

a = torch.ones(3, 4)
b = torch.tensor([1, 2, 3, 4])
print((a + b).shape)  # torch.Size([3, 4])

row = torch.tensor([[1, 2, 3]])       # (1, 3)
col = torch.tensor([[1], [2], [3]])   # (3, 1)
print((row + col).shape)  # torch.Size([3, 3])

# [[2, 3, 4],
#  [3, 4, 5],
#  [4, 5, 6]]

a = torch.randn(2, 3, 4)
b = torch.randn(   3, 1)
print((a + b).shape)  # torch.Size([2, 3, 4])
