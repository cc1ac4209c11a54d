"""Windows over images and signals: convolution, pooling, resampling."""
