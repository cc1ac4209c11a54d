"""Lines of the table of layers: linear and batch norm layers, small models."""

from tests.oracle.layer_table import layers

layers("3x4", "Sequential()")
layers(
    "4x1x8x8",
    "Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), "
    "nn.Linear(36, 3))",
    "Sequential(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False)), nn.Sequential(nn.ReLU(), nn.Identity()))",
)
layers(("f(5, 4), i(4, 5)", "f(4), i(4)", "f(2, 4, 3), i(4, 2, 3)"), "CrossEntropyLoss()")
layers(("f(5, 4), c(5, 4)", "f(4), f(4)"), "MSELoss()", "MSELoss(reduction='none')")
