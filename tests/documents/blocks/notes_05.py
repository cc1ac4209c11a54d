from torch.utils.data import DataLoader, Dataset

train_loader = DataLoader(
    dataset=train_dataset,
    batch_size=32,
    shuffle=True,
    num_workers=4,
    pin_memory=True
)

for batch_idx, (data, target) in enumerate(train_loader):

    pass
