import torch

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = x ** 2
y.sum().backward()

import numpy as np
numpy_array = np.array([1, 2, 3])
tensor = torch.from_numpy(numpy_array)

if torch.cuda.is_available():
    tensor = tensor.cuda()
