import torch

class MyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 5)

    def forward(self, x):
        return torch.relu(self.linear(x))

model = MyModel()
model.eval()

example_input = torch.randn(1, 10)
traced_model = torch.jit.trace(model, example_input)
traced_model.save("traced_model.pt")

class ModelWithControl(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        else:
            return x * 3

scripted_model = torch.jit.script(ModelWithControl())
scripted_model.save("scripted_model.pt")

loaded_model = torch.jit.load("traced_model.pt")
output = loaded_model(example_input)
