"""Datasets of images in their formats on disk, under torchvision's names."""

from distrt.vision.datasets.cifar import CIFAR10, CIFAR100
from distrt.vision.datasets.fakedata import FakeData
from distrt.vision.datasets.folder import DatasetFolder, ImageFolder
from distrt.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from distrt.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
]
