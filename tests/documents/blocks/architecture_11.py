import torch

x = torch.randn(3, requires_grad=True)

with torch.no_grad():
    y = x * 2
    print(y.requires_grad)  # False

@torch.no_grad()
def inference(model, x):
    return model(x)

y = x.detach()
