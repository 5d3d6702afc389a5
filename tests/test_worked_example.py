"""Meta-Rewarding's pairs by hand: three prompts, four samples each, every number worked out on paper.

What is rational is compared exactly, as the double nearest to the fraction; Elo, which solves one scalar
equation here by symmetry, to 1e-12. Lengths are in characters, written into the texts by `words`.

    prompt  response  length  scores of its four judgments   mean     variance
    P       P0          50    5 5 4 4                         9/2      1/4
            P1          20    5 4 4 unreadable               13/3      2/9
            P2          90    5 1 3 3                         3        2
            P3          70    3 1 2 2                         2        1/2
    Q       Q0          30    4 unreadable unreadable 2       3        1
            Q1          30    the text of Q0: duplicate
            Q2          40    5 1 5 1                         3        4
            Q3           1    blank
    R       R0           -    engine failure
            R1          60    0 4 unreadable 4                8/3     32/9
            R2          10    1 1 1 1                         1        0
            R3          60    the text of R1: duplicate
"""

from collections.abc import Callable
from fractions import Fraction

import pytest
from scipy.special import expit

from metareward.records import (
    Battle,
    Dropped,
    Finish,
    Judgment,
    Message,
    Outcome,
    PreferencePair,
    Prompt,
    Response,
    Role,
)
from metareward.stages.pair import ActorPairs, KeepDistinct, choose_response, mean_scores
from metareward.stages.pair_judge import JudgePairs, PositionWeights, battle_matrix, position_weights

PRIOR = 0.01
X = None  # an unreadable judgment


def words(name: str, length: int) -> str:
    return (name + " ").ljust(length, "x")


PROMPTS = [Prompt(name, (Message("user", f"Question {name}?"),)) for name in "PQR"]
TEXTS = {
    "P": [words("P0", 50), words("P1", 20), words("P2", 90), words("P3", 70)],
    "Q": [words("Q0", 30), words("Q0", 30), words("Q2", 40), "\n"],
    "R": ["half an ans", words("R1", 60), words("R2", 10), words("R1", 60)],
}
SCORES: dict[str, list[float | None]] = {
    "P0": [5, 5, 4, 4],
    "P1": [5, 4, 4, X],
    "P2": [5, 1, 3, 3],
    "P3": [3, 1, 2, 2],
    "Q0": [4, X, X, 2],
    "Q2": [5, 1, 5, 1],
    "R1": [0, 4, X, 4],
    "R2": [1, 1, 1, 1],
}
# The judgments of P2, Q2 and R1 meet in battles: P2a is 45 characters long, Q2a 65, all others 30.
LENGTHS = {"P2a": 45, "Q2a": 65}


def sampled(name: str, number: int, text: str) -> Response:
    finish = Finish.FAILED if f"{name}{number}" == "R0" else Finish.STOP
    return Response(f"{name}{number}", name, number, "m", text, (number, 7), finish)


RESPONSES = [sampled(name, number, text) for name in TEXTS for number, text in enumerate(TEXTS[name])]


def judged(response: str, number: int, score: float | None) -> Judgment:
    name = response + "abcd"[number]
    asked, text = (Message("user", f"Judge {response}."),), words(name, LENGTHS.get(name, 30))
    unread = "no verdict line" if score is None else None
    return Judgment(
        name, response[0], response, number, "m", asked, text, (number, 8), Finish.STOP, score, unread
    )


JUDGMENTS = [judged(name, number, score) for name, row in SCORES.items() for number, score in enumerate(row)]

F, S, T, U = Outcome.FIRST, Outcome.SECOND, Outcome.TIE, Outcome.UNREADABLE
# OUTCOMES[(shown first, shown second)]; orders that are not written were ties or unreadable, in turn.
OUTCOMES = {
    # P2: a beats all, d loses to all, in both orders; b and c: whichever is shown first wins.
    ("P2a", "P2b"): F, ("P2b", "P2a"): S, ("P2a", "P2c"): F, ("P2c", "P2a"): S,
    ("P2a", "P2d"): F, ("P2d", "P2a"): S, ("P2b", "P2d"): F, ("P2d", "P2b"): S,
    ("P2c", "P2d"): F, ("P2d", "P2c"): S, ("P2b", "P2c"): F, ("P2c", "P2b"): F,
    # Q2: a beats b in both orders; c beats d only when shown second.
    ("Q2a", "Q2b"): F, ("Q2b", "Q2a"): S, ("Q2d", "Q2c"): S, ("Q2c", "Q2d"): T,
    # R1: whichever is shown first wins.
    ("R1a", "R1b"): F, ("R1b", "R1a"): F, ("R1a", "R1d"): F, ("R1d", "R1a"): F,
    ("R1b", "R1d"): F, ("R1d", "R1b"): F,
}  # fmt: skip


def fought(response: str, letters: str) -> list[Battle]:
    orders = [(response + m, response + n) for m in letters for n in letters if m != n]
    outcomes = [OUTCOMES.get(order, (T, U)[place % 2]) for place, order in enumerate(orders)]
    return [
        Battle(f"{m}-{n}", response[0], response, m, n, "m", "", Finish.STOP, outcome)
        for (m, n), outcome in zip(orders, outcomes, strict=True)
    ]


BATTLES = fought("P2", "abcd") + fought("Q2", "abcd") + fought("R1", "abd")

# Wins shown first: 5 + 2 in P, 1 in Q, 6 in R; shown second: 5 in P, 1 + 1 in Q.
WIN_FIRST, WIN_SECOND = 14, 7
W1, W2 = Fraction(WIN_SECOND, 21), Fraction(WIN_FIRST, 21)


def nearest(fraction: Fraction) -> float:
    return fraction.numerator / fraction.denominator


def distinct() -> list[Response]:
    return [row for row in KeepDistinct().apply(RESPONSES) if isinstance(row, Response)]


def sides(row: PreferencePair | Dropped) -> tuple[str, str] | str:
    return row.reason if isinstance(row, Dropped) else (row.chosen_id, row.rejected_id)


def actor_pairs(rule: ActorPairs) -> dict[str, tuple[str, str] | str]:
    rows = rule.apply(PROMPTS, distinct(), JUDGMENTS)
    return {prompt.id: sides(row) for prompt, row in zip(PROMPTS, rows, strict=True)}


def judge_pairs(rule: JudgePairs) -> dict[str, tuple[str, str] | str]:
    rows = rule.apply(PROMPTS, distinct(), JUDGMENTS, BATTLES)
    return {prompt.id: sides(row) for prompt, row in zip(PROMPTS, rows, strict=True)}


# Step 1: distinct answers


def test_duplicates_blanks_and_failures_leave_by_name():
    rows = list(KeepDistinct().apply(RESPONSES))
    kept = [row.id for row in rows if isinstance(row, Response)]
    assert kept == ["P0", "P1", "P2", "P3", "Q0", "Q2", "R1", "R2"]
    assert [row for row in rows if isinstance(row, Dropped)] == [
        Dropped("Q1", "duplicate response"),
        Dropped("Q3", "empty response"),
        Dropped("R0", "engine failure"),
        Dropped("R3", "duplicate response"),
    ]


# Step 2: scores


def test_a_score_is_the_mean_of_what_could_be_read():
    expected = {
        "P0": Fraction(9, 2), "P1": Fraction(13, 3), "P2": Fraction(3), "P3": Fraction(2),
        "Q0": Fraction(3), "Q2": Fraction(3), "R1": Fraction(8, 3), "R2": Fraction(1),
    }  # fmt: skip
    scores = {response.id: score for response, score in mean_scores(distinct(), JUDGMENTS)}
    assert scores == {name: nearest(value) for name, value in expected.items()}


# Step 3: actor pairs. In P, S_max = 9/2 and S_min = 2, so the spread is 5/2. Q has equal scores.


def test_rho_0_is_best_against_worst():
    assert actor_pairs(ActorPairs()) == {"P": ("P0", "P3"), "Q": "equal scores", "R": ("R1", "R2")}


def test_rho_032_takes_a_shorter_good_answer():
    # chosen: at least 9/2 - 8/10 = 37/10: P0 (50 long) and P1 at 13/3 (20 long; at 13/4, were the
    # unreadable a zero, it would be out). rejected: at most 2 + 8/10 = 14/5: P3 alone.
    assert actor_pairs(ActorPairs(rho=0.32)) == {"P": ("P1", "P3"), "Q": "equal scores", "R": ("R1", "R2")}


def test_rho_04_takes_a_longer_bad_answer_on_the_very_boundary():
    # rejected: at most 2 + 1 = 3: P3 (70 long) and P2 (90 long), which is on the boundary.
    assert actor_pairs(ActorPairs(rho=0.4)) == {"P": ("P1", "P2"), "Q": "equal scores", "R": ("R1", "R2")}
    assert actor_pairs(ActorPairs(rho=0.3999))["P"] == ("P1", "P3")


def test_chosen_answers_over_the_limit_go():
    assert actor_pairs(ActorPairs(max_chosen_characters=50)) == {
        "P": ("P0", "P3"),
        "Q": "equal scores",
        "R": "chosen response over the length limit",
    }
    assert actor_pairs(ActorPairs(max_chosen_characters=49))["P"] == "chosen response over the length limit"


def test_the_whole_actor_pair():
    pair = next(iter(ActorPairs(rho=0.32).apply(PROMPTS, distinct(), JUDGMENTS)))
    assert isinstance(pair, PreferencePair)
    assert pair == PreferencePair(
        pair.id, Role.ACTOR, "P", None, (Message("user", "Question P?"),),
        "P1", "P3", words("P1", 20), words("P3", 70), (1, 7), (3, 7), nearest(Fraction(13, 3)), 2.0,
    )  # fmt: skip


# Step 4: the response for judge training


def test_the_most_disputed_answer_of_each_prompt():
    chosen = {
        prompt.id: choose_response(
            [r for r in distinct() if r.prompt_id == prompt.id],
            [j for j in JUDGMENTS if j.prompt_id == prompt.id],
            seed=0,
        )
        for prompt in PROMPTS
    }
    assert [response.id for response in chosen.values() if response] == ["P2", "Q2", "R1"]


# Steps 5 and 6: battles, position weights, B


def test_the_first_position_wins_more_and_so_counts_less():
    assert len(BATTLES) == 12 + 12 + 6
    assert (
        position_weights(BATTLES)
        == PositionWeights(nearest(W1), nearest(W2))
        == PositionWeights(1 / 3, 2 / 3)
    )


def matrix(response: str, letters: str) -> list[list[float]]:
    battles = [battle for battle in BATTLES if battle.response_id == response]
    names = [response + letter for letter in letters]
    return battle_matrix(names, battles, position_weights(BATTLES)).tolist()


def test_weighted_wins_of_each_response():
    one, w1, w2 = nearest(W1 + W2), nearest(W1), nearest(W2)
    assert matrix("P2", "abcd") == [[0, one, one, one], [0, 0, w1, one], [0, w1, 0, one], [0, 0, 0, 0]]
    assert matrix("Q2", "abcd") == [[0, one, 0, 0], [0, 0, 0, 0], [0, 0, 0, w2], [0, 0, 0, 0]]
    assert matrix("R1", "abd") == [[0, w1, w1], [w1, 0, w1], [w1, w1, 0]]


# Step 7: Elo. By symmetry P2 has (e, 0, 0, -e) with 2 sigmoid(-e) + sigmoid(-2e) = prior e; in Q2 a and b
# have (e, -e) with sigmoid(-2e) = prior e, c and d (f, -f) with 2/3 sigmoid(-2f) = prior f, so f < e.


def root(function: Callable[[float], float]) -> float:
    """Where a falling function is zero, between 0 and 50, by bisection down to neighbouring doubles."""
    low, high = 0.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


def elo_of_p() -> float:
    return root(lambda e: 2 * expit(-e) + expit(-2 * e) - PRIOR * e)


def elo_of_q(weight: float = 1.0) -> float:
    return root(lambda e: weight * expit(-2 * e) - PRIOR * e)


def test_elo_of_the_judge_pairs():
    p, q, r = JudgePairs(prior=PRIOR).apply(PROMPTS, distinct(), JUDGMENTS, BATTLES)
    assert isinstance(p, PreferencePair) and isinstance(q, PreferencePair)  # noqa: PT018
    assert elo_of_q() > elo_of_q(2 / 3) > 0
    assert (p.chosen_score, p.rejected_score) == pytest.approx((elo_of_p(), -elo_of_p()), abs=1e-12)
    assert (q.chosen_score, q.rejected_score) == pytest.approx((elo_of_q(), -elo_of_q()), abs=1e-12)
    assert r == Dropped("R", "equal Elo")


# Step 8: judge pairs


def test_judge_pairs_by_strength():
    assert judge_pairs(JudgePairs()) == {"P": ("P2a", "P2d"), "Q": ("Q2a", "Q2b"), "R": "equal Elo"}


def test_chosen_judgments_over_the_limit_go():
    over = "chosen judgment over the length limit"
    assert judge_pairs(JudgePairs(max_chosen_characters=65))["Q"] == ("Q2a", "Q2b")
    assert judge_pairs(JudgePairs(max_chosen_characters=64))["Q"] == over
    assert judge_pairs(JudgePairs(max_chosen_characters=45))["P"] == ("P2a", "P2d")
    assert judge_pairs(JudgePairs(max_chosen_characters=44)) == {"P": over, "Q": over, "R": "equal Elo"}


def test_the_whole_judge_pair():
    pair = next(iter(JudgePairs().apply(PROMPTS, distinct(), JUDGMENTS, BATTLES)))
    assert isinstance(pair, PreferencePair)
    elo = pair.chosen_score, pair.rejected_score
    assert pair == PreferencePair(
        pair.id, Role.JUDGE, "P", "P2", (Message("user", "Judge P2."),),
        "P2a", "P2d", words("P2a", 45), words("P2d", 30), (0, 8), (3, 8), *elo,
    )  # fmt: skip
