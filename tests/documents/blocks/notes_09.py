model = model.to(device)
data = data.to(device)
target = target.to(device)
