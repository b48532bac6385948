"""How a concept is put to a text tower that was trained on captions."""

import re

_WORDS = 3
_PHRASE = re.compile(r"(an?|the|one|two|three|some|many|my|this|these|photos?|pictures?|images?)\b", re.IGNORECASE)


def prompted(text: str) -> str:
    """The caption that stands for a concept: "a photo of a dog" for "dog", "a photo of an apple" for "apple".

    What is a caption already stays as it is: a text of more than three words, or one that begins with an article, a
    number or "photo of".
    """
    text = " ".join(text.split())
    if not text or len(text.split()) > _WORDS or _PHRASE.match(text):
        return text
    article = "an" if text[0].lower() in "aeiou" else "a"
    return f"a photo of {article} {text}"
