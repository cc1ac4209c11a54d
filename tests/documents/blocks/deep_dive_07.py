import torch

t = torch.arange(12)

t1 = t.reshape(3, 4)
t2 = t.reshape(2, -1)

t3 = t.view(3, 4)

t4 = t1.flatten()
t5 = t1.flatten(0, 1)

t6 = torch.zeros(1, 3, 1, 4)
print(t6.squeeze().shape)        # torch.Size([3, 4])
print(t6.squeeze(0).shape)       # torch.Size([3, 1, 4])

t7 = torch.zeros(3, 4)
print(t7.unsqueeze(0).shape)     # torch.Size([1, 3, 4])
print(t7.unsqueeze(-1).shape)    # torch.Size([3, 4, 1])

t8 = torch.randn(2, 3, 4)
print(t8.transpose(0, 2).shape)  # torch.Size([4, 3, 2])
print(t8.permute(2, 0, 1).shape) # torch.Size([4, 2, 3])
