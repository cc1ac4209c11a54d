"""Facade: ``torch.autograd.anomaly_mode``."""

from distrt.core.autograd.anomaly import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
