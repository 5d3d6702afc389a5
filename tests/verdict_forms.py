# ruff: noqa: E501
"""More spellings, each with what a careful person reads in it: a score, or None where nobody is certain."""

from verdict_forms_read import READ
from verdict_forms_unread import UNREAD

FORMS: dict[str, float | None] = {**READ, **UNREAD}

SCALED: list[tuple[tuple[str, int, int], str, float | None]] = [
    (("Rating", 1, 10), "Rating: 10", 10),
    (("Rating", 1, 10), "Rating: 10/10", 10),
    (("Rating", 1, 10), "Rating: [[10]]", 10),
    (("Rating", 1, 10), "Rating: 7.5", 7.5),
    (("Rating", 1, 10), "Rating: 0", None),
    (("Rating", 1, 10), "Rating: 11", None),
    (("Rating", 1, 10), "Rating: 4/5", None),
    (("Rating", 1, 10), "Score: 7", 7),
    (("Rating", 1, 10), "Rating: ten", 10),
    (("Rating", 1, 10), "Rating: 8 out of 10", 8),
    (("Rating", 1, 10), "[[8]]", 8),
    (("Rating", 1, 10), "8/10", 8),
    (("Rating", 1, 10), "Rating (1-10): 8", 8),
    (("Rating", 1, 10), "Rating (1-5): 4", None),
    (("Truthfulness", 0, 5), "Truthfulness: 4", 4),
    (("Truthfulness", 0, 5), "Score: 4", None),
    (("Truthfulness", 0, 5), "Truthfulness score: 4", 4),
    (("Truthfulness", 0, 5), "Overall truthfulness: 4", 4),
    (("Score", 0, 100), "Score: 85", 85),
    (("Score", 0, 100), "Score: 85/100", 85),
    (("Score", 0, 1), "Score: 1", 1),
    (("Score", 0, 1), "Score: 0.5", 0.5),
    (("Rating", 1, 10), "Corrected Assistant's Answer:\nThe word is car.\n\nRating: [[2]]", 2),
    (("Rating", 1, 10), "It does so, which is what the user asked for.\n\nRating: [[9]]", 9),
    (("Rating", 1, 10), "Here is the corrected Python function:\n```\nx\n```\nIt returns B.\n\nRating: [[1]]", 1),
    (("Rating", 1, 10), "The response is rated as follows:\n\nRating: [[3]].", 3),
]  # fmt: skip
