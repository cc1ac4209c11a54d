import torch

print(f"CUDA text: {torch.cuda.is_available()}")
print(f"CUDA text: {torch.cuda.device_count()}")
print(f"text: {torch.cuda.current_device()}")

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")

x = torch.randn(3, 4)
x = x.to(device)

import torch.nn as nn
model = nn.Linear(10, 5)
model = model.to(device)

input_data = torch.randn(32, 10).to(device)
output = model(input_data)
