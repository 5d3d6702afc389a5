"""What a verdict line looks like: a label and a value, and hardly anything else. In linear time."""

import re
from dataclasses import dataclass, replace

from metareward.readers import words
from metareward.readers.scale import Scale
from metareward.readers.values import COMMA, QUOTES, score, simple, unwrapped

Value = float | str

_IS = "is|was|ist|beträgt|lautet|est(?: de)?|es(?: de)?|é(?: de)?|è"
_PARTS = re.compile(
    rf"((?:[^:=–—→\n()]|\([^()\n]{{1,30}}\)){{1,60}}?)"
    rf" ?(?::=?|=>?|->|→| [-–—] | (?:{_IS}):? |[为是][:：]?) ?(.*)"
)
_SPACED = re.compile(r"([^\W\d][^\d:=\n]{1,40}?) (?:of )?([0-9].*)")
_GOES_ON = re.compile(
    r"(?<=[0-9)\]A-Za-z])(?:[.!] (?=[A-Z\"“(])| [-–—|] (?=[A-Za-z])(?!(?:for|in|on) )|; (?=[A-Za-z])"
    r"|,? (?:because|since|as) )"
)
_FEWEST_WORDS = 3  # of what goes on after a verdict in its line
_LEAD = re.compile(rf"(?:{'|'.join(words.longest_first(words.LEADS))}),? (?=[a-z])", re.IGNORECASE)
_ON = re.compile(
    r" ?[(\[]?(?:on a )?(?:out of|scale (?:of|from)|from|between|max(?:imum)?:?|/)? ?"
    r"(?:([0-9]{1,4}) ?(?:-|–|to|and) ?)?([0-9]{1,4})(?: points)?[)\]]?$"
)
_WHOLE = re.compile(r" ?[(\[,]? ?(?:total|final|overall)[)\]]$")
_BEGUN = re.compile(r"[\[(<]{0,2}-?[0-9]|[\[(<]{0,2}[ab]\b", re.IGNORECASE)
_ELEMENT = re.compile(r"<([^\W\d][\w -]{0,30})> ?([^<>]{1,40}?) ?</\1>", re.IGNORECASE)
_NAMED = r"(?:(?:judge?ment|response|assistant|answer|review|model|output|option|judge|candidate) )?"
_NAME = r"(?P<{0}>a|b|(?:a )?tie|draw)"
_WINNER = re.compile(
    rf"{_NAMED}(?:\[\[|\[|\(|<)? ?{_NAMED}{_NAME.format('name')} ?(?:\]\]|\]|\)|>)?"
    rf" ?(?:\({_NAMED}{_NAME.format('again')}\))? ?[.!]?",
    re.IGNORECASE,
)
_BARE = re.compile(r"\[\[ ?(?:[0-9.]{1,8}|[ab]|tie) ?\]\][.!]?|<[0-9.]{1,8}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict on a line. value: None where it is off the scale, or not clear. total: it says that it is of
    the whole. bare: without a label. clear: false where it is not certain what the line says
    (`Score: 5 (or 4)`). goes_on: a sentence follows on the line.
    """

    value: Value | None
    total: bool = False
    bare: bool = False
    clear: bool = True
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of verdict. labels: what it may be called. scale: of a score; None for a winner."""

    labels: frozenset[str]
    scale: Scale | None

    @classmethod
    def of_scores(cls, scale: Scale) -> "Form":
        """A known word for a score stands for all of them; any other label for itself alone."""
        label = scale.label.casefold()
        return cls(words.SCORES if label in words.SCORES else frozenset({label}), scale)

    @classmethod
    def of_winners(cls, label: str) -> "Form":
        """The same for winners."""
        known = label.casefold()
        return cls(words.WINNERS if known in words.WINNERS else frozenset({known}), None)

    def found(self, shown: str) -> Found | None:
        """The verdict that the whole of a line is; None if it is none."""
        shown = unwrapped(shown)
        element = _ELEMENT.fullmatch(shown)
        shown = f"{element[1]}: {element[2]}" if element else shown
        lead = _LEAD.match(shown)
        shown = shown[lead.end() :] if lead else shown
        total = bool(lead) and not words.TOTAL.isdisjoint(lead[0].strip(", ").casefold().split(" "))
        named = False
        for _ in range(3):
            parts = _PARTS.fullmatch(shown)
            if parts is None:
                return self._spaced(shown, total)
            kind = self.kind(parts[1])
            if kind is None and parts[1].strip().casefold() not in words.LEADS:
                return None
            total, named, shown = total or kind == "total", named or kind is not None, parts[2]
            if kind and self.scale and not words.ENGLISH & set(parts[1].casefold().split(" ")):
                shown = COMMA.sub(r"\1.\2", shown, count=1)
            value = self._value(shown)
            if value is None:
                continue
            sure = value[1] or parts[1].strip().casefold() not in words.WITH_SCALE
            bare = not named and bool(value[1] or _BARE.fullmatch(shown))
            return Found(value[0], total) if sure and (named or bare) else None
        return None

    def _spaced(self, shown: str, total: bool) -> Found | None:
        """A verdict without a mark behind its label: `Score 4/5`; the scale must stand there."""
        parts = _SPACED.fullmatch(shown)
        kind, value = (self.kind(parts[1]), self._value(parts[2])) if parts else (None, None)
        return Found(value[0], total or kind == "total") if kind and value and value[1] else None

    def opening(self, head: str) -> Found | None:
        """A verdict that its line goes on from: `Score: 4. The answer is ...`, `Score: 4, because ...`."""
        place = _GOES_ON.search(head)
        if place is None or len(head[place.end() :].split(" ")) < _FEWEST_WORDS:
            return None
        found = self.found(head[: place.start()])
        return None if found is None or found.bare else replace(found, goes_on=True)

    def unclear(self, shown: str) -> Found | None:
        """A line that begins as a verdict and goes on otherwise: `Score: 3-4`."""
        parts = _PARTS.fullmatch(shown)
        begun = parts is not None and self.kind(parts[1]) is not None and _BEGUN.match(parts[2])
        return Found(None, clear=False) if begun else None

    def kind(self, label: str) -> str | None:
        """ "total" or "score" where these words name the verdict itself."""
        if label.startswith("[") and label.endswith("]"):
            label = label[1:-1]
        said = self._without_scale(label.strip(" .,'\"`").replace("_", " ").casefold())
        if said is None:
            return None
        whole = _WHOLE.search(said)
        said = said[: whole.start()] if whole else said
        said = next(
            (said.removesuffix(" " + tail) for tail in words.ABOUT if said.endswith(" " + tail)), said
        )
        parts, total = said.split(" "), bool(whole)
        while parts and (parts[0] in words.TOTAL or parts[0] in words.OWN):
            total |= parts.pop(0) in words.TOTAL
        while len(parts) > 1 and (parts[-1] in words.TOTAL or parts[-1] in words.AFTER):
            total |= parts.pop() in words.TOTAL
        rest = " ".join(parts)
        if rest not in self.labels and parts and parts[-1] in words.MEASURES:
            rest = " ".join(parts[:-1])
        if rest in self.labels:
            whole = total or rest in ("total", "overall") or rest.startswith(words.WHOLE)
            return "total" if whole else "score"
        return "total" if total and not rest and self.scale else None

    def only_label(self, shown: str, heading: bool) -> str | None:
        """The kind of a line that is a label alone: its value is to stand on the next."""
        said = unwrapped(shown)
        if not heading and not said.endswith(":"):
            return None
        return self.kind(said.rstrip(": "))

    def bare(self, shown: str) -> Found | None:
        """A value alone that can only be a verdict: with its scale (`4/5`), or in the brackets for one."""
        value = self._value(shown)
        if value is None or not (value[1] or _BARE.fullmatch(shown)):
            return None
        return Found(value[0], bare=True)

    def value(self, shown: str, kind: str = "") -> Found | None:
        """A value alone, after a line that was its label, of this kind."""
        value = self._value(shown)
        return None if value is None else Found(value[0], kind == "total")

    def _value(self, said: str) -> tuple[Value | None, bool] | None:
        """The value and whether its scale (or unit) was written out; None if `said` is no value."""
        said = unwrapped(unwrapped(said, QUOTES).removesuffix("."))
        if self.scale is None:
            found = winner_of(said)
            return None if found is None else (found, False)
        return score(simple(said, self.scale), self.scale)

    def _without_scale(self, label: str) -> str | None:
        """`score (0-5)` and `score out of 5` without the scale; None if it is another one."""
        found = _ON.search(label) if self.scale else None
        if found is None or self.scale is None:
            return label
        low, high = found[1], found[2]
        right = int(high) == self.scale.high and (low is None or int(low) in (self.scale.low, 0, 1))
        return label[: found.start()].strip() if right else None


def asked_for(text: str, label: str, verdict: str) -> set[str]:
    """The labels, in lower case, under which a text asks for a verdict; "" for one in double brackets.

    verdict: "score" or "winner". Every word that is known for one counts, and `label`.
    """
    known = (words.SCORES if verdict == "score" else words.WINNERS) | {label.casefold()}
    names = "|".join(words.longest_first(map(re.escape, known)))
    asked = rf"(?<!\w)({names})[\"'”*_` ]{{0,4}}[:：=]|</({names})>|\[\["
    return {found[1] or found[2] or "" for found in re.finditer(asked, text.casefold())}


def winner_of(said: str) -> str | None:
    """ "a", "b" or "tie"."""
    found = _WINNER.fullmatch(said)
    if found is None:
        return None
    names = {_plain_name(found[name]) for name in ("name", "again") if found[name]}
    return names.pop() if len(names) == 1 else None


def _plain_name(said: str) -> str:
    said = said.casefold()
    return said if said in ("a", "b") else "tie"
