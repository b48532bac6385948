"""What cut-outs show: concepts, their categories, and which sets of pictures show them.

Pictures whose concept is open to doubt (families, crabs, zombies, flags, arrows …) are in no set and are not used.
"""

import re

CATEGORIES: dict[str, tuple[str, ...]] = {
    "face": ("smiley", "man's face", "woman's face"),
    "body": ("athlete", "person in motion", "hand"),
    "place": ("building", "landscape"),
    "food": ("fruit", "vegetable", "meal", "dessert", "drink"),
    "word": ("printed word", "page of writing", "letter", "number"),
    "other": ("animal", "plant", "vehicle", "clothing", "tool", "instrument", "thing"),
}
"""Category → its concepts. A simulated subject is tuned to those of the first five; `other` is all the rest."""

CATEGORY_OF = {concept: category for category, concepts in CATEGORIES.items() for concept in concepts}
"""Concept → its category."""

# Subgroups of Unicode's emoji-test.txt. "person" stands for the concept that an emoji's own name gives, see `portrait`.
_EMOJI = {
    "smiley": "face-smiling face-affection face-tongue face-hand face-neutral-skeptical face-sleepy face-unwell "
    "face-hat face-glasses face-concerned",
    "person": "person person-gesture person-role",
    "athlete": "person-sport",
    "person in motion": "person-activity",
    "hand": "hand-fingers-open hand-fingers-partial hand-single-finger hand-fingers-closed hands",
    "building": "place-building place-religious",
    "landscape": "place-geographic place-other",
    "fruit": "food-fruit",
    "vegetable": "food-vegetable",
    "meal": "food-prepared food-asian",
    "dessert": "food-sweet",
    "drink": "drink",
    "number": "keycap",
    "animal": "cat-face monkey-face animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug",
    "plant": "plant-flower plant-other",
    "vehicle": "transport-ground transport-water transport-air",
    "clothing": "clothing",
    "tool": "tool",
    "instrument": "musical-instrument",
    "thing": "sport game phone computer household office light&video science medical time lock dishware",
}
EMOJI_CONCEPTS = {subgroup: concept for concept, subgroups in _EMOJI.items() for subgroup in subgroups.split()}
"""Emoji subgroup (without spaces) → concept."""

_DOUBTFUL = """
    keycap: #, keycap: *, brick, rock, wood, wedding, map of Japan, fountain, tent, carousel horse, playground slide,
    barber pole, circus tent, ferris wheel, roller coaster, night with stars, baby bottle, ice, salt, roasted sweet
    potato, gem stone, lipstick, prayer beads, ring, hair pick, paw prints, feather, wing, nest with eggs, empty nest,
    spider web, pig nose, microbe, bus stop, motorway, railway track, oil drum, fuel pump, horizontal traffic light,
    vertical traffic light, stop sign, construction, police car light, wheel, seat, anchor, ring buoy, station, horse
    racing, martial arts uniform, running shirt, flag in hole, field hockey, kaaba, building construction, writing
    hand, selfie, nail polish, handshake, pregnant man, potted plant, sheaf of rice, manual wheelchair, motorized
    wheelchair, joker, mahjong red dragon, teddy bear, nesting dolls, flower playing cards, spade suit, heart suit,
    diamond suit, club suit, mountain railway, suspension railway, middle finger
"""
DOUBTFUL_EMOJI = frozenset(re.split(r",\s+", _DOUBTFUL.strip()))
"""Emoji that do not show what their subgroup says, or show two things."""

STAMP_CONCEPTS = {
    "animals": "animal",
    "clothes": "clothing",
    "food": "meal",
    "food/dessert": "dessert",
    "food/fruit": "fruit",
    "food/vegetables": "vegetable",
    "hobbies/music": "instrument",
    "household": "thing",
    "household/tools": "tool",
    "military/vehicles": "vehicle",
    "people": "person in motion",
    "plants": "plant",
    "sports": "thing",
    "symbols/alphabets/asl": "hand",
    "symbols/alphabets/english": "letter",
    "symbols/alphabets/german": "letter",
    "symbols/alphabets/spanish": "letter",
    "symbols/faces": "smiley",
    "symbols/math": "number",
    "town/houses": "building",
    "town/monuments": "building",
    "vehicles": "vehicle",
}
"""Folder of Tux Paint stamps → concept; a folder stands for those below it that have no entry of their own."""

UNUSED_STAMPS = ("people/body_parts", "symbols/math/operators", "seasonal", "food/nuts", "food/spices")
"""Folders of Tux Paint stamps whose pictures are open to doubt."""


def portrait(name: str) -> str | None:
    """Concept of a picture of one person's head and shoulders, from its name; None where the name leaves it open."""
    words = name.replace(":", "").split()
    if "pregnant" in words or "feeding" in words:
        return None
    if {"woman", "princess"} & set(words):
        return "woman's face"
    return "man's face" if {"man", "prince"} & set(words) else None


def stamp_concept(folder: str) -> str | None:
    """Concept of the stamps in a folder (relative to the stamps' root, with slashes); None where it is not used."""
    if any(folder == unused or folder.startswith(f"{unused}/") for unused in UNUSED_STAMPS):
        return None
    parts = folder.split("/")
    prefixes = ("/".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((STAMP_CONCEPTS[prefix] for prefix in prefixes if prefix in STAMP_CONCEPTS), None)
