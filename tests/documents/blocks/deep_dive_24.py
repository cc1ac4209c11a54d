from torch.utils.data import Dataset, DataLoader
import torch

class CustomDataset(Dataset):
    def __init__(self, data, labels, transform=None):
        self.data = data
        self.labels = labels
        self.transform = transform

    def __len__(self):
        """text"""
        return len(self.data)

    def __getitem__(self, idx):
        """text"""
        sample = self.data[idx]
        label = self.labels[idx]

        if self.transform:
            sample = self.transform(sample)

        return sample, label

data = torch.randn(1000, 28, 28)
labels = torch.randint(0, 10, (1000,))
dataset = CustomDataset(data, labels)

from torchvision import datasets
from torchvision.transforms import ToTensor

# MNIST
mnist_train = datasets.MNIST(root='./data', train=True,
                             download=True, transform=ToTensor())

# CIFAR-10
cifar_train = datasets.CIFAR10(root='./data', train=True,
                               download=True, transform=ToTensor())

from torchvision.datasets import ImageFolder
dataset = ImageFolder(root='./data/train', transform=ToTensor())
