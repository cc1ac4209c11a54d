def test(model, x, y):
   y_pred = model(x)
   correct = (y_pred.round() == y).sum().item()
   accuracy = correct / len(y) * 100
   print(f"Accuracy: {accuracy}%")
