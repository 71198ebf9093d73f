"""Is the question in a language that the embedding model knows?

A model trained on English places a German question almost at random, and nobody would notice: the answer is only worse. So it
is said. Identification is py3langid's; loading its model takes half a second, so a question with a plainly English word in it
isn't given to it.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

KNOWN_LANGUAGES: Mapping[str, frozenset[str]] = {"all-MiniLM-L6-v2": frozenset({"en"})}
"""Languages (ISO 639-1) that an embedding model was trained on; one that isn't listed is never warned about."""

PLAINLY_ENGLISH = frozenset(
    "the how what which who whom whose where when why does did doing are were been have has had of with for from can could should"
    " would must may may might there this that these those my your our their his her it and any much many long often".split()
)
SURE = 0.6
"""Least probability from which on a language is taken as recognised: at 0.5, 4 of 6,078 English questions of SQuAD 2.0 are
taken for another language, at 0.8 one (docs/log.md)."""

NAMES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "ta": "Tamil", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def language_notice(question: str, embedder: str) -> str:
    """A sentence that warns of a language the embedder doesn't know, or ``""``."""
    known = KNOWN_LANGUAGES.get(embedder)
    if not known or PLAINLY_ENGLISH & set(re.findall(r"[a-z]+", question.lower())):
        return ""
    language, probability = identify(question)
    if language in known or probability < SURE:
        return ""
    spoken = ", ".join(sorted(NAMES.get(code, code) for code in known))
    name = NAMES.get(language, f"another language ({language})")
    return f"the question seems to be in {name}; the embedding model {embedder} knows {spoken} only, so passages may be missed"


def identify(text: str) -> tuple[str, float]:
    """The most likely language of a text (ISO 639-1) and its probability among about a hundred."""
    language, probability = _identifier().classify(text)
    return str(language), float(probability)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
