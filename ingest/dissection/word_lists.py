"""Word lists for finding nouns in captions, each with its reason, and phrases that name one thing."""

from functools import cache
from importlib.resources import files

from timm.data import ImageNetInfo  # type: ignore[attr-defined]  # it is in timm's documentation
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights


def _words(*groups: str) -> frozenset[str]:
    return frozenset(word for group in groups for word in group.split())


OF_PICTURES = _words(
    "background close closeup close-up foreground image photo photograph picture scene shot snapshot up view"
)
"""Words for the picture: no things, at the end of a compound either ("street scene" names a street)."""

NO_THING = OF_PICTURES | _words(
    # amounts, and wholes that what follows names ("a group of people")
    "group couple pair bunch piece lot number variety assortment collection array set row series stack pile amount",
    "part half kind type sort style bit flight",
    # places in the picture or on a thing
    "top bottom front back side left right middle center centre edge end corner distance inside outside next lap",
    # times and circumstances
    "day daytime night nighttime time moment way sale",
    # words for whatever
    "thing something someone somebody anything everything nothing other one each essential",
)
"""The stop list: lemmas that by themselves name nothing that is seen; compounds do ("parking lot", "night stand")."""

COLOURS = _words("black blue brown color gray green grey orange pink purple red white yellow")
"""No things in the singular without an article ("dressed in black"); "an orange" and "oranges" are."""

SIZES_AND_AGES = _words("big large little long old short small young")
"""With COLOURS, adjectives that are meant literally: "yellow jacket" is no wasp, "old man" no cactus."""

PLURAL_ONLY = _words("binoculars clothes goggles jeans pajamas pants scissors shorts sunglasses trousers")
"""Words whose singular is no word."""

IRREGULAR = {"people": "person", "cooky": "cookie"}
"""Lemmas that spaCy gives, and those that they should be."""

ING_NOUNS = _words(
    "awning building carving ceiling clothing crossing drawing dressing duckling dumpling earring frosting icing king",
    "landing lighting painting pudding railing ring sibling spring string stuffing swing topping wedding wing",
)
"""Nouns in -ing. After another noun, any other such word is a participle that the tagger took for a noun."""


@cache
def depictable_nouns() -> tuple[str, ...]:
    """Nouns for things that a picture can show by themselves; chosen by hand, without an eye to any data."""
    return tuple(files(__package__).joinpath("depictable_nouns.txt").read_text(encoding="utf-8").splitlines())


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
    """Whether an adjective (or participle) and a noun name one thing: "hot dog", and "high chair" for "highchair".

    Grammar alone would not say so.
    """
    names = thing_names()
    return adjective not in COLOURS | SIZES_AND_AGES and (f"{adjective} {noun}" in names or adjective + noun in names)
