import torch

x = torch.randn(1000, 1000)
del x

if torch.cuda.is_available():
    torch.cuda.empty_cache()

# loss = criterion(model(large_batch), target)
# loss.backward()

for mini_batch in split_batch(large_batch):
    loss = criterion(model(mini_batch), target)
    loss = loss / num_mini_batches
    loss.backward()

from torch.cuda.amp import autocast, GradScaler

scaler = GradScaler()
with autocast():
    output = model(input)
    loss = criterion(output, target)
scaler.scale(loss).backward()
scaler.step(optimizer)
scaler.update()
