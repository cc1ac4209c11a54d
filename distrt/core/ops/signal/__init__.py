"""Spectra: Fourier transforms, whole and short-time."""
