import torch.optim.lr_scheduler as lr_scheduler

optimizer = optim.Adam(model.parameters(), lr=0.001)

scheduler = lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)

scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[30, 80], gamma=0.1)

scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)

scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-6)

scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=2)

scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode='min',
                                           factor=0.1, patience=10)

def warmup_lambda(epoch):
    if epoch < warmup_epochs:
        return epoch / warmup_epochs
    return 1.0
scheduler = lr_scheduler.LambdaLR(optimizer, lr_lambda=warmup_lambda)

for epoch in range(num_epochs):
    train(...)
    val_loss = validate(...)

    scheduler.step()

    # scheduler.step(val_loss)

    print(f"text: {scheduler.get_last_lr()}")
