#!/usr/bin/env bash
# IFEval's rule for words in capitals counts what NLTK's word tokenizer finds, so one would expect one answer to
# have one count. NLTK 3.10 cuts words at dashes where 3.8 and 3.9 do not: "NASA–ESA" was one word in capitals and
# now is two. Chat models write such dashes all the time. lm-eval 0.4.13 asks for NLTK 3.9.1 or newer, so two
# machines can disagree on whether an answer kept to "at most three words in capitals", with nothing else changed.
# Write NLTK's version beside every IFEval score.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for release in 3.8.1 3.9.2 3.10.4; do
  python3 -m venv --without-pip "$work/$release"
  python3 -m pip --python "$work/$release/bin/python" install --quiet --no-compile "nltk==$release"
  "$work/$release/bin/python" - <<'PY'
from importlib.metadata import version

from nltk.tokenize import NLTKWordTokenizer

ANSWERS = {  # words in capitals by NLTK 3.8 and 3.9, and by 3.10
    "The NASA\u2013ESA probe flew on.": (1, 2),
    "NASA and ESA built it, JAXA flew it.": (3, 3),
}
release = tuple(int(part) for part in version("nltk").split(".")[:2])
for answer, counts in ANSWERS.items():
    words = NLTKWordTokenizer().tokenize(answer)
    capitals = sum(word.isupper() for word in words)
    print("nltk", version("nltk"), capitals, "words in capitals:", ascii(words))
    assert capitals == counts[release >= (3, 10)], (answer, words)
PY
done
