import torch.nn as nn

class MyModel(nn.Module):
    def __init__(self):
        super().__init__()

        self.layer1 = nn.Linear(10, 20)
        self.activation = nn.ReLU()
        self.layer2 = nn.Linear(20, 1)

    def forward(self, x):

        x = self.layer1(x)
        x = self.activation(x)
        x = self.layer2(x)
        return x

model = MyModel()

print(model)

for name, param in model.named_parameters():
    print(f"{name}: {param.shape}")
