import torch
import torch.nn as nn

criterion = nn.CrossEntropyLoss()
logits = torch.randn(3, 5)
targets = torch.tensor([1, 0, 4])
loss = criterion(logits, targets)

criterion = nn.BCELoss()
probs = torch.sigmoid(torch.randn(3))
targets = torch.tensor([1., 0., 1.])
loss = criterion(probs, targets)

criterion = nn.BCEWithLogitsLoss()
logits = torch.randn(3)
loss = criterion(logits, targets)

criterion = nn.MSELoss()
predictions = torch.randn(3)
targets = torch.randn(3)
loss = criterion(predictions, targets)

criterion = nn.L1Loss()
loss = criterion(predictions, targets)

criterion = nn.SmoothL1Loss()
loss = criterion(predictions, targets)

criterion = nn.NLLLoss()
log_probs = F.log_softmax(logits, dim=1)
loss = criterion(log_probs, targets)

criterion = nn.KLDivLoss(reduction='batchmean')
log_probs = F.log_softmax(logits, dim=1)
target_probs = F.softmax(torch.randn(3, 5), dim=1)
loss = criterion(log_probs, target_probs)

criterion = nn.CosineEmbeddingLoss()
x1 = torch.randn(3, 10)
x2 = torch.randn(3, 10)
y = torch.tensor([1, -1, 1])
loss = criterion(x1, x2, y)

criterion = nn.TripletMarginLoss(margin=1.0)
anchor = torch.randn(3, 10)
positive = torch.randn(3, 10)
negative = torch.randn(3, 10)
loss = criterion(anchor, positive, negative)
