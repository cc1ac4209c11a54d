"""Datasets of images in their formats on disk, under torchvision's names."""

__all__: list[str] = []
