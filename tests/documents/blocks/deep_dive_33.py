from torch.cuda.amp import autocast, GradScaler

scaler = GradScaler()

model = model.to(device)
optimizer = optim.Adam(model.parameters())

for data, target in dataloader:
    data, target = data.to(device), target.to(device)

    optimizer.zero_grad()

    with autocast():
        output = model(data)
        loss = criterion(output, target)

    scaler.scale(loss).backward()

    scaler.step(optimizer)
    scaler.update()
