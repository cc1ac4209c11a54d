import torch

def dynamic_network(x, use_extra_layer):
    """text"""
    x = x * 2

    if use_extra_layer:
        x = x + 10

    for i in range(3):
        x = x * 1.1

    return x

x = torch.tensor([1.0], requires_grad=True)

y1 = dynamic_network(x, use_extra_layer=True)
y2 = dynamic_network(x, use_extra_layer=False)

print(f"y1: {y1}")
print(f"y2: {y2}")
