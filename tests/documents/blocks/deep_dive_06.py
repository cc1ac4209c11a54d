import torch

t = torch.arange(12).reshape(3, 4)
print(t)
# tensor([[ 0,  1,  2,  3],
#         [ 4,  5,  6,  7],
#         [ 8,  9, 10, 11]])

print(t[0])
print(t[0, 1])
print(t[:, 0])
print(t[1:, :2])

indices = torch.tensor([0, 2])
print(t[indices])

mask = t > 5
print(t[mask])        # tensor([ 6,  7,  8,  9, 10, 11])

t[0, 0] = 100
t[:, -1] = 0
