"""What language a text is in, by name: py3langid's opinion, and the script of its letters where that is unsure."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

ENGLISH = "en"
ENOUGH = 5_000
"""Characters that are looked at."""
SURE = 0.6
"""Least probability from which on a language is taken as recognised, as in the assistant."""
UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
"""Scripts whose words aren't set apart by spaces."""

NAMES = dict(
    pair.split(":")
    for pair in (
        "af:Afrikaans am:Amharic an:Aragonese ar:Arabic as:Assamese az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali"
        " br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish de:German dz:Dzongkha el:Greek en:English"
        " eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fo:Faroese fr:French ga:Irish gl:Galician"
        " gu:Gujarati he:Hebrew hi:Hindi hr:Croatian ht:Haitian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic"
        " it:Italian ja:Japanese jv:Javanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz"
        " la:Latin lb:Luxembourgish lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian ml:Malayalam mn:Mongolian"
        " mr:Marathi ms:Malay mt:Maltese nb:Norwegian ne:Nepali nl:Dutch nn:Norwegian no:Norwegian oc:Occitan or:Odia"
        " pa:Punjabi pl:Polish ps:Pashto pt:Portuguese qu:Quechua ro:Romanian ru:Russian rw:Kinyarwanda se:Sami"
        " si:Sinhala sk:Slovak sl:Slovenian sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu th:Thai"
        " tl:Tagalog tr:Turkish ug:Uyghur uk:Ukrainian ur:Urdu vi:Vietnamese vo:Volapük wa:Walloon xh:Xhosa zh:Chinese"
        " zu:Zulu"
    ).split()
)
"""ISO 639-1 → the language's name in English. What py3langid takes for any other is named by its script."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language as far as it was recognised.

    Attributes:
        code: ISO 639-1; None: only the script is known.
        name: in English.
        script: of most of its letters, as Unicode calls it, e.g. ``TAMIL``; ``""``: there are no letters.
    """

    code: str | None
    name: str
    script: str

    @property
    def is_english(self) -> bool:
        """Whether others are compared with it."""
        return self.code == ENGLISH

    @property
    def is_spaced(self) -> bool:
        """Whether its words can be counted at the spaces."""
        return self.script not in UNSPACED


def recognise(text: str) -> Language:
    """The language of a text. Cost: half a second once, for loading the model."""
    sample = text[:ENOUGH]
    script = main_script(sample)
    if not script:
        return Language(None, "no letters", "")
    code, probability = _identifier().classify(sample)
    if code not in NAMES or float(probability) < SURE:
        return Language(None, f"{script.capitalize()} script", script)
    return Language(str(code), NAMES[code], script)


def main_script(text: str) -> str:
    """The script of most letters, as the first word of their Unicode names."""
    scripts = Counter(unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha())
    return scripts.most_common(1)[0][0] if scripts else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
