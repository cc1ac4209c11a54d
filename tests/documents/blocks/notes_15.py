from torch.optim.lr_scheduler import StepLR, CosineAnnealingLR

scheduler = StepLR(optimizer, step_size=30, gamma=0.1)

scheduler = CosineAnnealingLR(optimizer, T_max=num_epochs)

scheduler.step()
