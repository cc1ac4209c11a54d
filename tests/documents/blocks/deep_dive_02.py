import torch

print(f"PyTorch text: {torch.__version__}")
print(f"CUDA text: {torch.cuda.is_available()}")
print(f"CUDA text: {torch.version.cuda}")
print(f"cuDNN text: {torch.backends.cudnn.version()}")
print(f"GPU text: {torch.cuda.device_count()}")

if torch.cuda.is_available():
    print(f"text GPU: {torch.cuda.get_device_name(0)}")
