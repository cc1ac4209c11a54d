"""Datasets of images in their formats on disk, under torchvision's names."""

from distrt.vision.datasets.cifar import CIFAR10, CIFAR100
from distrt.vision.datasets.fakedata import FakeData
from distrt.vision.datasets.folder import DatasetFolder, ImageFolder
from distrt.vision.datasets.imagenet import ImageNet
from distrt.vision.datasets.inaturalist import INaturalist
from distrt.vision.datasets.lsun import LSUN, LSUNClass
from distrt.vision.datasets.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from distrt.vision.datasets.places365 import Places365
from distrt.vision.datasets.qmnist import QMNIST
from distrt.vision.datasets.svhn import SVHN
from distrt.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "LSUN",
    "MNIST",
    "QMNIST",
    "SVHN",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "INaturalist",
    "ImageFolder",
    "ImageNet",
    "LSUNClass",
    "Places365",
    "VisionDataset",
]
