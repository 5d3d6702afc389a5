"""What a template asks a judge for: the label of its verdict line, and the scale of a score."""

from dataclasses import dataclass

from metareward.errors import ConfigError

LOWEST, HIGHEST = 0, 5
WIDEST = 100
_LABEL = 40  # characters


@dataclass(frozen=True, slots=True)
class Scale:
    """`label: N` with whole steps from `low` to `high`. The default is the paper's rubric."""

    label: str = "Score"
    low: int = LOWEST
    high: int = HIGHEST

    def __post_init__(self) -> None:
        check_label(self.label)
        if not (0 <= self.low < self.high <= WIDEST):
            raise ConfigError(
                f"a scale goes from a whole number of 0 or more to a higher one of at most {WIDEST}, "
                f"not from {self.low} to {self.high}"
            )

    @property
    def choices(self) -> tuple[str, ...]:
        """Every whole score, in ascending order."""
        return tuple(str(score) for score in range(self.low, self.high + 1))

    @property
    def prefix(self) -> str:
        """What a forced reading puts before the score."""
        return f"\n{self.label}: "

    def nearest(self, score: float) -> int:
        """The whole score nearest to a score, the higher one of two."""
        return int(score + 0.5 + 1e-9)  # a half that lost its last bits is a half

    @property
    def span(self) -> str:
        """From where to where."""
        return f"{self.low} to {self.high}"

    def __str__(self) -> str:
        return f"{self.label}, {self.span}"


def check_label(label: str) -> None:
    """Refuse a label that could not be told from its value, with a ConfigError."""
    words = label.split(" ")
    good = len(label) <= _LABEL and all(word.replace("-", "").isalpha() for word in words)
    if not good:
        raise ConfigError(
            "the label of a verdict is one or more words of letters, at most 40 characters together, not "
            f"{label[:60]!r}"
        )
