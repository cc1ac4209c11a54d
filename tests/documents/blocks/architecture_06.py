model.parameters()
model.state_dict()

model.train()
model.eval()

model.to('cuda')
model.cpu()

model.children()
model.modules()
