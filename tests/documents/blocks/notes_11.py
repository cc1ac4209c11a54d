model.eval()
with torch.no_grad():
    output = model(data)
model.train()
