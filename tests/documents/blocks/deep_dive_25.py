from torch.utils.data import DataLoader

dataloader = DataLoader(
    dataset,
    batch_size=32,
    shuffle=True,
    num_workers=4,
    pin_memory=True,
    drop_last=False,
    collate_fn=None,
    sampler=None,
    persistent_workers=True
)

for batch_idx, (data, targets) in enumerate(dataloader):
    print(f"Batch {batch_idx}: data shape = {data.shape}")
    break

def custom_collate_fn(batch):
    """text"""
    data = [item[0] for item in batch]
    labels = [item[1] for item in batch]

    data_padded = nn.utils.rnn.pad_sequence(data, batch_first=True)
    labels = torch.stack(labels)

    return data_padded, labels

from torch.utils.data import WeightedRandomSampler

class_weights = [1.0, 2.0, 0.5]
sample_weights = [class_weights[label] for label in dataset.labels]
sampler = WeightedRandomSampler(sample_weights, num_samples=len(dataset))

dataloader = DataLoader(dataset, batch_size=32, sampler=sampler)
