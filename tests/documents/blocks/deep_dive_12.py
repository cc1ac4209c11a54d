import torch

x = torch.tensor([1., 2., 3.], requires_grad=True)

with torch.no_grad():
    y = x * 2
    print(y.requires_grad)  # False

@torch.no_grad()
def inference(x):
    return x * 2

y = x.detach()
print(y.requires_grad)  # False

with torch.inference_mode():
    y = x * 2

torch.set_grad_enabled(False)
torch.set_grad_enabled(True)

model = torch.nn.Linear(10, 2)
for param in model.parameters():
    param.requires_grad = False
