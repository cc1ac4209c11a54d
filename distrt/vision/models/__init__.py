"""Models with torchvision's parameter names, and how they get their weights.

Source: https://pytorch.org/vision/stable/models.html.
"""

from distrt.vision.models import feature_extraction, mobilenet, resnet
from distrt.vision.models._api import get_model, get_model_builder, get_model_weights, get_weight, list_models
from distrt.vision.models.alexnet import *
from distrt.vision.models.densenet import *
from distrt.vision.models.mobilenetv2 import *
from distrt.vision.models.mobilenetv3 import *
from distrt.vision.models.resnet import *
from distrt.vision.models.squeezenet import *
from distrt.vision.models.vgg import *
from distrt.vision.models.vision_transformer import *
