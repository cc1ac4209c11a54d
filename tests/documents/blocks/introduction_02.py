import torch
import torch.nn as nn
import torch.optim as optim
