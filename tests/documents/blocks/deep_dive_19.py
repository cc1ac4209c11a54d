import torch.nn as nn

model = nn.Sequential(
    nn.Linear(10, 20),
    nn.ReLU(),
    nn.Linear(20, 5)
)

for name, param in model.named_parameters():
    print(f"{name}: shape={param.shape}, requires_grad={param.requires_grad}")

total_params = sum(p.numel() for p in model.parameters())
trainable_params = sum(p.numel() for p in model.parameters() if p.requires_grad)
print(f"text: {total_params:,}")
print(f"text: {trainable_params:,}")

def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        nn.init.zeros_(m.bias)
    elif isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode='fan_out', nonlinearity='relu')

model.apply(init_weights)

"""
nn.init.xavier_uniform_(tensor)      # Xaviertext
nn.init.xavier_normal_(tensor)       # Xaviertext
nn.init.kaiming_uniform_(tensor)     # Kaimingtext
nn.init.kaiming_normal_(tensor)      # Kaimingtext
nn.init.zeros_(tensor)               # text
nn.init.ones_(tensor)                # text
nn.init.constant_(tensor, val)       # text
nn.init.normal_(tensor, mean, std)   # text
nn.init.uniform_(tensor, a, b)       # text
nn.init.orthogonal_(tensor)          # text
"""

for param in model.parameters():
    param.requires_grad = False

for param in model[-1].parameters():
    param.requires_grad = True
