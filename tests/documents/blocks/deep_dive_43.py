import torch
print(torch.__config__.show())
