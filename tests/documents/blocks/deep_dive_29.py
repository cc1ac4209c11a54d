import torch

torch.save(model.state_dict(), 'model_weights.pth')

model = MyModel()
model.load_state_dict(torch.load('model_weights.pth'))
model.eval()

torch.save(model, 'model_complete.pth')

model = torch.load('model_complete.pth')

checkpoint = {
    'epoch': epoch,
    'model_state_dict': model.state_dict(),
    'optimizer_state_dict': optimizer.state_dict(),
    'scheduler_state_dict': scheduler.state_dict(),
    'train_loss': train_loss,
    'val_loss': val_loss,
}
torch.save(checkpoint, 'checkpoint.pth')

checkpoint = torch.load('checkpoint.pth')
model.load_state_dict(checkpoint['model_state_dict'])
optimizer.load_state_dict(checkpoint['optimizer_state_dict'])
scheduler.load_state_dict(checkpoint['scheduler_state_dict'])
start_epoch = checkpoint['epoch'] + 1

model.load_state_dict(torch.load('model.pth', map_location='cpu'))

model.load_state_dict(torch.load('model.pth', map_location='cuda:0'))

pretrained_dict = torch.load('pretrained.pth')
model_dict = model.state_dict()

pretrained_dict = {k: v for k, v in pretrained_dict.items()
                   if k in model_dict and v.shape == model_dict[k].shape}
model_dict.update(pretrained_dict)
model.load_state_dict(model_dict)
