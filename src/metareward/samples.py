"""What models wrote, to be read: a few answers of the first and the last model, and a pair of each kind.

Chosen by a hash of their ids, never by score, so that nothing is shown for being good.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from metareward.evaluate.verifiable import Verifiable
from metareward.history import History, Look, Round
from metareward.ids import seed_of
from metareward.problems import is_right
from metareward.records import Battle, Outcome, PreferencePair, Prompt, Response
from metareward.templates import transcript

ANSWERS = 3


def samples(history: History) -> dict[str, Any]:
    """`answers`: held-out prompts with the first and the last model's answers; `pairs`: one of each role.

    An answer is {"prompt", "first", "last"}, each side {"model", "text"} and, where the truth is known,
    "right". A pair is {"role", "prompt", "chosen", "rejected", "why"}, of the last iteration that has one.
    """
    looks = [look for look in history.looks if _answered(look)]
    return {
        "answers": _answers(looks[0], looks[-1]) if looks else [],
        "pairs": [pair for role in ("actor", "judge") for pair in _pair(history.rounds, role)],
    }


def _answered(look: Look) -> tuple[Any, Any] | None:
    """The prompts that a model was seen on, and its answers: problems where there are any, else held out."""
    for one, asked in look.evaluated:
        if isinstance(one, Verifiable):
            return asked[0], asked[1]
    return None if look.answers is None or look.prompts is None else (look.prompts, look.answers)


def _answers(first: Look, last: Look) -> list[dict[str, Any]]:
    answered = ({answer.prompt_id for answer in _shown(look)[1]} for look in (first, last))
    both = sorted(set.intersection(*answered), key=lambda name: seed_of("sample", name))[:ANSWERS]
    prompts: dict[str, Prompt] = {prompt.id: prompt for prompt in _shown(first)[0] if prompt.id in both}
    before, after = (_by_prompt(_shown(look)[1], both) for look in (first, last))
    known = next((one.answers for one, _ in first.evaluated if isinstance(one, Verifiable)), {})
    return [
        {
            "prompt": transcript(prompts[name].messages),
            "first": _side(first, before[name], prompts[name], known),
            "last": _side(last, after[name], prompts[name], known),
        }
        for name in both
    ]


def _shown(look: Look) -> tuple[Any, Any]:
    found = _answered(look)
    assert found is not None  # only such looks are asked for
    return found


def _by_prompt(answers: Iterable[Response], prompts: Sequence[str]) -> dict[str, Response]:
    """The first answer to each of these prompts."""
    found: dict[str, Response] = {}
    for answer in answers:
        if answer.prompt_id in prompts:
            found.setdefault(answer.prompt_id, answer)
    return found


def _side(look: Look, answer: Response, prompt: Prompt, known: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"model": look.model.name, "text": answer.answer}
    question = prompt.messages[-1].content
    return told | ({"right": is_right(known[question], answer.answer)} if question in known else {})


def _pair(rounds: list[Round], role: str) -> Iterable[dict[str, Any]]:
    for round in reversed(rounds):
        pairs = (pair for part in round.pairs for pair in part if pair.role == role)
        pair = min(pairs, key=lambda pair: seed_of("sample", pair.id), default=None)
        if pair is not None:
            why = _why_judge(pair, round) if role == "judge" else _why_actor(pair)
            prompt = transcript(pair.messages)
            yield {
                "role": role,
                "prompt": prompt,
                "chosen": pair.chosen,
                "rejected": pair.rejected,
                "why": why,
            }
            return


def _why_actor(pair: PreferencePair) -> str:
    chosen, rejected = pair.chosen_score, pair.rejected_score
    return f"the judge gave {chosen:.2f} to the chosen answer and {rejected:.2f} to the other"


def _why_judge(pair: PreferencePair, round: Round) -> str:
    sides = {pair.chosen_id, pair.rejected_id}
    met = [battle for battle in round.battles or () if {battle.first_id, battle.second_id} == sides]
    won = sum(_winner(battle) == pair.chosen_id for battle in met)
    return (
        f"the chosen judgment won {won} of {len(met)} battles with the other, and has an Elo of "
        f"{pair.chosen_score:+.2f} (natural log units) against {pair.rejected_score:+.2f}"
    )


def _winner(battle: Battle) -> str | None:
    return {Outcome.FIRST: battle.first_id, Outcome.SECOND: battle.second_id}.get(battle.outcome)
