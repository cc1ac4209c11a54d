"""
project/
text config/
text config.yaml         # text
text data/
text dataset.py          # text
text transforms.py       # text
text models/
text __init__.py
text backbone.py         # text
text head.py             # text
text utils/
text logger.py           # text
text metrics.py          # text
text visualization.py    # text
text train.py                # text
text evaluate.py             # text
text requirements.txt        # text
"""

import random
import numpy as np
import torch

def set_seed(seed=42):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False

device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')

def get_device():
    if torch.cuda.is_available():
        return torch.device('cuda')
    elif torch.backends.mps.is_available():  # Apple Silicon
        return torch.device('mps')
    return torch.device('cpu')
