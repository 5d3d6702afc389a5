"""Whether a response gives a problem's answer, by the library math-verify, in a process that can be given up.

What a model writes may be an expression that nobody can work out; such a one is not read, and nothing hangs.
"""

import multiprocessing
import resource
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.pool import Pool

SECONDS = 20.0
_STARTING = 600.0
_MOST_BYTES = 4 * 2**30
_LONGEST = 20_000  # characters from the end of a response, where answers are


def verdicts(pairs: Iterable[tuple[str, str]], seconds: float = SECONDS) -> Iterator[bool | None]:
    """For each (answer, response) whether they agree; None where it could not be told within `seconds`."""
    pool = _open()
    try:
        for answer, response in pairs:
            try:
                yield pool.apply_async(agrees, (answer, response[-_LONGEST:])).get(seconds)
            except (multiprocessing.TimeoutError, MemoryError, RecursionError):
                pool.terminate()
                pool = _open()
                yield None
    finally:
        pool.terminate()


def agrees(answer: str, response: str) -> bool:
    r"""Whether the last expression of a response (a boxed one first) equals the answer, which is LaTeX."""
    from math_verify import parse, verify

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the parser of LaTeX, about its own grammar
        return bool(verify(parse(f"\\boxed{{{answer}}}"), parse(response)))


def _open() -> Pool:
    pool = multiprocessing.get_context("spawn").Pool(1, _bounded)
    pool.apply_async(agrees, ("1", "\\boxed{1}")).get(_STARTING)  # so that no answer waits for the library
    return pool


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
