"""Facade: what scripts import from ``torch.distributed.elastic``. ``launch`` starts and watches the ranks."""
