torch.manual_seed(42)

total_params = sum(p.numel() for p in model.parameters())

optimizer = optim.Adam([
    {'params': model.fc.parameters(), 'lr': 1e-3},
    {'params': model.conv.parameters(), 'lr': 1e-4}
])
