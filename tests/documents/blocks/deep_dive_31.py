import torch

print(f"CUDA text: {torch.cuda.is_available()}")
print(f"GPU text: {torch.cuda.device_count()}")
print(f"text: {torch.cuda.current_device()}")
print(f"text: {torch.cuda.get_device_name(0)}")

device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

device = torch.device('cuda:0')

tensor = torch.randn(3, 4)
tensor = tensor.to(device)
tensor = tensor.cuda()
tensor = tensor.cpu()

model = model.to(device)
model = model.cuda()

print(f"text: {torch.cuda.memory_allocated() / 1024**2:.2f} MB")
print(f"text: {torch.cuda.memory_reserved() / 1024**2:.2f} MB")

torch.cuda.empty_cache()

torch.cuda.synchronize()
