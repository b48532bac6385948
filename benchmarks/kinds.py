"""Which planted category a label belongs to: the frozen judge of first labels. Nothing may be tuned by changing it.

The first table took a word's two most frequent senses in WordNet, whatever they were, so that a mug was a face (slang),
a computer a person (who computes) and an insect one, too (figuratively), and a nose right for a body. It was reviewed
once, by the words and their senses alone, before first labels were chosen in any new way: a word stands for the first
of its two most frequent senses that can be seen, what belongs to a face is no body, and words whose common sense
WordNet does not have first, or not under these kinds, are listed. tests/test_benchmarks.py holds its fingerprint.
"""

import hashlib
import json

from wordnet import WordNet

SEEN = ("05", "06", "08", "13", "17", "18", "20")
"""WordNet's lexical files of things one can see: animal, artifact, body, food, object, person, plant."""
DRAWN = (*SEEN, "19", "21")
"""And of what can be drawn: phenomenon (rain, smoke), possession (coin)."""
KINDS = {
    # WordNet 3.0 senses whose kinds (and which themselves) belong to a category; the first category that fits has it.
    "person": ("00007846",),
    "face": ("05600637", "05538625", "05598147", "06877078", "05254795", "05311054", "05302307", "05601758"),
    "body": ("05220461", "00523513", "05219561", "05216365"),
    "place": (
        *("04341686", "09287968", "08630985", "09334396", "04105893", "08524735", "09225146", "08512259"),
        *("04564698", "03315023", "04602044", "02913152"),
    ),
    "food": ("00021265", "07555863", "07881800", "13134947", "07705931", "04263614"),
    "word": ("06349220", "06362953", "06793231", "06818970", "06387980", "06410904", "06828818", "06286395"),
}
"""person counts as face and as body. face: face, head, nose, facial expression, hair, eye, mouth, feature; body: body
part, sport, body; place: structure, geological formation, region, land, room, city, body of water, tract, way,
facility, workplace, building; food: food, beverage, edible fruit, solid food; word: written language, writing, sign,
written symbol, text, book, letter, word."""
LISTED = {
    "person": "couple crowd driver family people queen",
    "face": "beard ear hair lip mouth tongue tooth",
    "body": "handball skeleton skull wrestling",
    "place": "arch forest garden jungle landscape meadow park scenery square wood",
    "food": "banana bread broccoli burger cake carrot cereal cherry corn cucumber drink egg garlic lettuce maize mango "
    "mushroom onion pea peach pepper pineapple popcorn pumpkin taco watermelon",
    "word": "billboard calendar label letter logo magazine menu newspaper notebook number page poster signature symbol",
    "": "barrel bush cab cage cross drawer hedge heel kite ladder log monitor mug nail palm printer rake ruler screw "
    "shrimp speaker sponge tiger toaster washer whale",
}
"""Words that belong where WordNet's first sense that can be seen does not put them; "" for nowhere."""
NOT_SEEN = (
    "accused apparel attire ben botanical brew cuisine device documentation equipment facial facility facing female "
    "lighting lodging male printing publisher shook timer transportation workplace writ"
)
"""Words of the demo's vocabulary that WordNet calls things and nobody could draw so that another would say them."""


def kinds(wordnet: WordNet, label: str) -> set[str]:
    """Categories that a label belongs to: that of its own or, for several words, of the last one."""
    words = (label.replace(" ", "_"), label.split()[-1])
    listed = next((kind for kind, of_kind in LISTED.items() for word in words if word in of_kind.split()), None)
    kind = next(iter(_kinds(wordnet, words)), "") if listed is None else listed
    return {"face", "body"} if kind == "person" else {kind} - {""}


def depictable(wordnet: WordNet, label: str) -> bool:
    """Whether a label names what can be drawn: by a sense of it, or as it has a category; and by judgement."""
    word = label.split()[-1]
    senses = wordnet.senses_of.get(word) or wordnet.senses_of.get(word.removesuffix("s"), ())
    drawn = any(wordnet.senses[sense].lexical_file in DRAWN for sense in senses)
    return (drawn or bool(kinds(wordnet, label))) and word not in NOT_SEEN.split()


def _kinds(wordnet: WordNet, words: tuple[str, ...]) -> list[str]:
    """The category of the first sense that is seen, or else one that the table knows; at most one."""
    senses = next((wordnet.senses_of[word][:2] for word in words if word in wordnet.senses_of), ())
    for sense in senses:
        ancestors = wordnet.ancestors(sense)
        kind = [kind for kind, senses in KINDS.items() if ancestors & set(senses)]
        if kind or wordnet.senses[sense].lexical_file in SEEN:
            return kind[:1]
    return []


def fingerprint() -> str:
    """SHA-256 of the tables."""
    return hashlib.sha256(json.dumps([SEEN, DRAWN, KINDS, LISTED, NOT_SEEN]).encode()).hexdigest()
