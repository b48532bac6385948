"""Phrases that name one thing though grammar alone would not say so: "hot dog" is an adjective and a noun."""

from functools import cache

from timm.data import ImageNetInfo  # type: ignore[attr-defined]  # it is in timm's documentation
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from .word_lists import COLOURS, SIZES_AND_AGES


@cache
def thing_names() -> frozenset[str]:
    """Names of things in lower case: the classes of COCO and of ImageNet-22k, whose synonyms are WordNet's."""
    imagenet = ImageNetInfo("imagenet22k-ms")
    entries = [imagenet.label_name_to_description(label) for label in imagenet.label_names()]  # type: ignore[no-untyped-call]
    entries += FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    names = {name.strip().lower().replace("-", " ") for entry in entries for name in entry.split(",")}
    # Some are plurals there: "french fries".
    return frozenset(names | {f"{name.removesuffix('ies')}y" for name in names if name.endswith("ies")})


def is_fixed_phrase(adjective: str, noun: str) -> bool:
    """Whether an adjective (or participle) and a noun name one thing: "hot dog", and "high chair" for "highchair"."""
    names = thing_names()
    return adjective not in COLOURS | SIZES_AND_AGES and (f"{adjective} {noun}" in names or adjective + noun in names)
