torch.save(model.state_dict(), 'model.pth')

model = ModelClass()
model.load_state_dict(torch.load('model.pth'))
model.eval()
