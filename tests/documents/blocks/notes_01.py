import torch

x = torch.tensor([1, 2, 3, 4])
x = torch.zeros(3, 4)
x = torch.ones(2, 3)
x = torch.randn(2, 3)

y = x + 1
z = torch.matmul(x, y)

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
x = x.to(device)

x = x.reshape(2, 6)
x = x.permute(1, 0)
x = x.squeeze()
