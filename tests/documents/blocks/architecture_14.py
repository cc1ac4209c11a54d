import torch.nn as nn

model = nn.Linear(10, 5)

if torch.cuda.device_count() > 1:
    model = nn.DataParallel(model)

model = model.to('cuda')

input_data = torch.randn(32, 10).to('cuda')
output = model(input_data)
