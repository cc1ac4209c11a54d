def train(model, criterion, optimizer, x, y):
   model.zero_grad()
   y_pred = model(x)
   loss = criterion(y_pred, y)
   loss.backward()
   optimizer.step()
   return loss.item()
