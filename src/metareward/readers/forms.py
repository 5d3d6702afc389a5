"""What a verdict line looks like: a label and a value, and nothing else. In linear time."""

import re
from dataclasses import dataclass

from metareward.readers import words
from metareward.readers.scale import Scale

Value = float | str

_PARTS = re.compile(r"([^:=–—→\n]{1,60}?) ?(?::|=>?|->|→| [-–—] | is:? | was:? ) ?(.*)")
_LEAD = re.compile(rf"(?:{'|'.join(sorted(words.LEADS, key=len, reverse=True))}),? (?=[a-z])", re.IGNORECASE)
_ON = re.compile(
    r" ?[(\[]?(?:out of|from|between|scale of|max(?:imum)?:?|/)? ?"
    r"(?:([0-9]{1,4}) ?(?:-|–|to|and) ?)?([0-9]{1,4})(?: points)?[)\]]?$"
)
_NUMBER = rf"-?[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?|{'|'.join(words.NUMBERS)}"
_HELD = rf"(?:\[\[ ?({_NUMBER}) ?\]\]|\[ ?({_NUMBER}) ?\]|< ?({_NUMBER}) ?>|\( ?({_NUMBER}) ?\)|({_NUMBER}))"
_OF = rf"{words.OF} ?(?:an? |the )?(?:possible |maximum |max |total )?(?:of )?{_HELD}"
_SCORE = re.compile(
    rf"{_HELD} ?(?P<unit>{words.UNITS} ?)?(?P<of>\(? ?{_OF} ?\)? ?)?(?:{words.UNITS} ?)?"
    r"(?:\((?P<again>[^()]{1,30})\) ?)?(?:in total|total|overall)? ?[.!]?",
    re.IGNORECASE,
)
_AGAIN = re.compile(rf"{_HELD}(?: ?{words.UNITS})?(?P<of> ?{_OF})?(?: {words.UNITS})?", re.IGNORECASE)
_ONLY_OF = re.compile(rf"(?:{_OF}|[满滿]分 ?(?P<most>[0-9]{{1,4}}) ?分?)(?: {words.UNITS})?", re.IGNORECASE)
_SUM = re.compile(r"((?:[0-9]{1,3} ?\+ ?){1,9}[0-9]{1,3}) ?= ?(.*)")
_BEGUN = re.compile(r"[\[(<]{0,2}-?[0-9]|[\[(<]{0,2}[ab]\b", re.IGNORECASE)
_AROUND = (("[[", "]]"), ("[", "]"), ("(", ")"), ("<", ">"), ("{", "}"), ("$", "$"), ("\\boxed{", "}"))
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
    the whole. bare: without a label. clear: false where the line goes on in words (`Score: 5 (or 4)`).
    """

    value: Value | None
    total: bool = False
    bare: bool = False
    clear: bool = True


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
        shown = _unwrapped(shown)
        element = _ELEMENT.fullmatch(shown)
        shown = f"{element[1]}: {element[2]}" if element else shown
        lead = _LEAD.match(shown)
        shown = shown[lead.end() :] if lead else shown
        total = bool(lead) and not words.TOTAL.isdisjoint(lead[0].strip(", ").casefold().split(" "))
        named = False
        for _ in range(3):
            parts = _PARTS.fullmatch(shown)
            if parts is None:
                return None
            kind = self.kind(parts[1])
            if kind is None and parts[1].strip().casefold() not in words.LEADS:
                return None
            total, named, shown = total or kind == "total", named or kind is not None, parts[2]
            value = self._value(shown)
            if value is None:
                continue
            sure = value[1] or parts[1].strip().casefold() not in words.WITH_SCALE
            bare = not named and bool(value[1] or _BARE.fullmatch(shown))
            return Found(value[0], total) if sure and (named or bare) else None
        return None

    def unclear(self, shown: str) -> Found | None:
        """A line that begins as a verdict and goes on otherwise: `Score: 3-4`."""
        parts = _PARTS.fullmatch(shown)
        begun = parts is not None and self.kind(parts[1]) is not None and _BEGUN.match(parts[2])
        return Found(None, clear=False) if begun else None

    def kind(self, label: str) -> str | None:
        """ "total" or "score" where these words name the verdict itself."""
        said = self._without_scale(label.strip(" .,'").casefold())
        if said is None:
            return None
        said = next(
            (said.removesuffix(" " + tail) for tail in words.ABOUT if said.endswith(" " + tail)), said
        )
        parts, total = said.split(" "), False
        while parts and (parts[0] in words.TOTAL or parts[0] in words.OWN):
            total |= parts.pop(0) in words.TOTAL
        while len(parts) > 1 and (parts[-1] in words.TOTAL or parts[-1] == "is"):
            total |= parts.pop() in words.TOTAL
        rest = " ".join(parts)
        if rest in self.labels:
            whole = total or rest in ("total", "overall") or rest.startswith(words.WHOLE)
            return "total" if whole else "score"
        return "total" if total and not rest and self.scale else None

    def only_label(self, shown: str, heading: bool) -> str | None:
        """The kind of a line that is a label alone: its value is to stand on the next."""
        said = _unwrapped(shown)
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
        said = _unwrapped(said)
        if self.scale is None:
            found = winner_of(said)
            return None if found is None else (found, False)
        return _score(said, self.scale)

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
    names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
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


def _score(said: str, scale: Scale) -> tuple[Value | None, bool] | None:
    added = _SUM.fullmatch(said)
    found = _SCORE.fullmatch(added[2] if added else said)
    again = found and found["again"]
    if found is None or (
        again and not (_AGAIN.fullmatch(again.strip()) or _ONLY_OF.fullmatch(again.strip()))
    ):
        return None
    value, scaled = _first(found), bool(found["of"] or found["unit"])
    if added and sum(int(part) for part in added[1].split("+")) != value:
        return None, scaled
    right = _limit(found) in (None, scale.high) and _agrees(found["again"], value, scale)
    on = str(found[0]).lstrip("[(< ")[0] != "-" and scale.low <= value <= scale.high
    return (value if right and on else None), scaled


def _agrees(again: str | None, value: float, scale: Scale) -> bool:
    """Whether brackets behind a value say nothing but it, or its scale: `4 (four)`, `4 (out of 5)`."""
    if again is None:
        return True
    same, only = _AGAIN.fullmatch(again.strip()), _ONLY_OF.fullmatch(again.strip())
    if same:
        return _first(same) == value and _limit(same) in (None, scale.high)
    return bool(only) and (float(only["most"]) if only["most"] else _first(only)) == scale.high


def _first(found: re.Match[str]) -> float:
    return next(_number(found[place]) for place in range(1, 6) if found[place])


def _limit(found: re.Match[str]) -> float | None:
    """What the value is out of."""
    said = re.search(rf"({_NUMBER})\W*$", found["of"].strip(), re.IGNORECASE) if found["of"] else None
    return _number(said[1]) if said else None


def _number(said: str) -> float:
    return float(words.NUMBERS.get(said.casefold(), said))


def _unwrapped(said: str) -> str:
    """Without brackets around the whole."""
    for _ in range(3):
        said = said.strip(" ")
        for left, right in _AROUND:
            inner = said[len(left) : -len(right)]
            if (
                said.startswith(left)
                and said.endswith(right)
                and inner
                and left[0] not in inner
                and right[-1] not in inner
            ):
                said = inner
                break
        else:
            return said
    return said
