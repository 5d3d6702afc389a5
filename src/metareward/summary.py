"""What came of a run, in numbers: one entry a model, one entry an iteration. Nothing is guessed."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from metareward.disk import write_json
from metareward.eft.report import tuned
from metareward.evaluate import anchors
from metareward.fences import count_disarmed
from metareward.history import Attacked, Gated, History, Look, Round
from metareward.readers import Scale
from metareward.recipes import accounts, besides, pairing
from metareward.recipes.judge_gate import LEFT_OUT
from metareward.records import Battle, Finish, Judgment, Outcome, Response, Role
from metareward.samples import samples
from metareward.store import Artifact
from metareward.train.job import RESULT


def summarise(history: History, root: Path) -> dict[str, Any]:
    """The summary of a run that lies in `root`; paths in it are relative to `root`."""
    looks = {look.model.name: look for look in history.looks}
    rounds = {round.start.name: round for round in history.rounds}
    answers = _answers(history)
    names = list(dict.fromkeys([*answers, *rounds, *looks]))
    last = next((round.trained for round in reversed(history.rounds) if not round.skipped), None)
    return {
        "models": [
            {
                **_model(name, looks.get(name), rounds.get(name), history.scale),
                "accuracy": anchors.accuracy(looks.get(name), history),
                "answers": answers.get(name, {}),
            }
            for name in names
        ],
        "judge_scale": asdict(history.scale),
        "iterations": [_iteration(number, round, history) for number, round in enumerate(history.rounds)],
        "attacks": [_attacked(attacked) for attacked in history.attacks],
        "judge_gates": [_gated(gated) for gated in history.judge_gates],
        "judge_stopped": history.judge_stopped,
        "ladders": anchors.ladders(history),
        "contaminated": [asdict(overlap) for overlap in history.contaminated],
        "checkpoint": str(Path(last.path).relative_to(root)) if last else None,
        "supervision": str(history.supervision),
        "engine": history.engine,
        "eft": tuned(history.tuned),
        "samples": samples(history),
    }


def save(history: History, root: Path) -> dict[str, Any]:
    """Write `summary.json` into the run's directory and return what it says."""
    summary = summarise(history, root)
    write_json(root / "summary.json", summary)
    return summary


def _model(name: str, look: Look | None, round: Round | None, scale: Scale) -> dict[str, Any]:
    """A model on the held-out prompts; without any, on the prompts it was asked in its iteration."""
    seen = look if look and look.answers is not None else None
    source: Any = seen or round
    answers = source.answers if source else []
    judgments = source.judgments if source else []
    battles = (source.battles if source else None) or []
    mean, error, judged = mean_score(judgments)
    referee, referee_error, _ = mean_score(seen.refereed or ()) if seen else (None, None, 0)
    return {
        "model": name,
        "held_out": seen is not None,
        "responses": judged,
        "mean_score": mean,
        "mean_score_standard_error": error,
        "referee_score": referee,
        "referee_score_standard_error": referee_error,
        **_lengths(answers),
        **_reasoned(answers, judgments),
        **_readability(judgments, scale),
        **_battle_rates(battles),
        **anchors.of_model(look),
    }


def mean_score(judgments: Iterable[Judgment]) -> tuple[float | None, float | None, int]:
    """Mean over responses of the mean readable judgment; its standard error; how many responses.

    The error takes prompts as the independent units (responses to one prompt resemble each other).
    """
    by_prompt: dict[str, dict[str, array[float]]] = {}
    for judgment in judgments:
        if judgment.score is not None:
            own = by_prompt.setdefault(judgment.prompt_id, {})
            own.setdefault(judgment.response_id, array("d")).append(judgment.score)
    if not by_prompt:
        return None, None, 0
    means = [[float(np.mean(scores)) for scores in responses.values()] for responses in by_prompt.values()]
    flat = [score for scores in means for score in scores]
    each = np.array([np.mean(scores) for scores in means])
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else None
    return float(np.mean(flat)), error, len(flat)


def _lengths(answers: Iterable[Response]) -> dict[str, Any]:
    lengths, cut_off = array("q"), 0
    for answer in _given(answers):
        lengths.append(len(answer.answer))
        cut_off += answer.finish is Finish.LENGTH
    return {
        "mean_length": float(np.mean(lengths)) if lengths else None,
        "cut_off_rate": _share(cut_off, len(lengths)),
    }


def _given(answers: Iterable[Response]) -> Iterator[Response]:
    """All but those that the engine failed to give."""
    return (answer for answer in answers if answer.finish is not Finish.FAILED)


def _reasoned(answers: Iterable[Response], judgments: Iterable[Judgment]) -> dict[str, Any]:
    """How often there is reasoning before an answer and before a verdict; nothing where there never is.

    mean_reasoning_length: characters, over the answers with reasoning. Of those that did not end there is no
    answer, and a forced verdict was read after they were ended.
    """
    found: dict[str, Any] = {}
    for name, rows in (("", _given(answers)), ("judgment_", judgments)):
        lengths, total, unended = array("q"), 0, 0
        for row in rows:
            total += 1
            unended += not row.reasoning_ended
            if row.reasoning or not row.reasoning_ended:
                lengths.append(row.reasoning)
        if lengths:
            found[f"{name}reasoning_rate"] = _share(len(lengths), total)
            found[f"mean_{name}reasoning_length"] = float(np.mean(lengths))
            found[f"{name}reasoning_cut_off_rate"] = _share(unended, total)
    return found


def _readability(judgments: Iterable[Judgment], scale: Scale) -> dict[str, Any]:
    """score_histogram: how many judgments have each score of the scale, the lowest first."""
    reasons: Counter[str] = Counter()
    scores: Counter[int] = Counter()
    disarmed = 0
    for judgment in judgments:
        disarmed += any(count_disarmed(message.content) for message in judgment.messages)
        if judgment.score is None:
            reasons[judgment.unread or "unknown"] += 1
        else:
            scores[round(judgment.score)] += 1
    total = scores.total() + reasons.total()
    return {
        "judgments": total,
        "unreadable_rate": _share(reasons.total(), total),
        "unreadable": dict(reasons),
        "score_histogram": [scores[value] for value in range(scale.low, scale.high + 1)],
        "disarmed_rate": _share(disarmed, total),
    }


def _battle_rates(battles: Iterable[Battle]) -> dict[str, Any]:
    outcomes = Counter(battle.outcome for battle in battles)
    decided = outcomes[Outcome.FIRST] + outcomes[Outcome.SECOND]
    return {
        "battles": outcomes.total(),
        "tie_rate": _share(outcomes[Outcome.TIE], decided + outcomes[Outcome.TIE]),
        "unreadable_battle_rate": _share(outcomes[Outcome.UNREADABLE], outcomes.total()),
        "first_position_win_rate": _share(outcomes[Outcome.FIRST], decided),
    }


def _iteration(number: int, round: Round, history: History) -> dict[str, Any]:
    training = _training(round)
    kinds = {artifact.manifest.name: artifact for artifact in round.pairs}
    capped = round.training.capped if round.training else ()
    asked = {"generate": round.answers, "judge": round.judgments, "meta_judge": round.battles}
    asked, ahead = asked | besides.steps(round), besides.trainings(round)
    steps: dict[str, Artifact[Any]] = {name: rows for name, rows in asked.items() if rows is not None}
    return {
        "iteration": number,
        "asked": round.start.fingerprint,
        "start": (round.training.start if round.training else round.start).fingerprint,
        "reference": (round.training.reference if round.training else round.start).fingerprint,
        "prompts": len(round.prompts),
        "responses": len(round.answers),
        "distinct_responses": len(round.responses),
        "judgments": len(round.judgments),
        "battles": len(round.battles) if round.battles is not None else 0,
        "actor_pairs": len(kinds["actor_pairs"]) if "actor_pairs" in kinds else 0,
        "judge_pairs": len(kinds["judge_pairs"]) if "judge_pairs" in kinds else 0,
        "attack_pairs": len(kinds["attack_pairs"]) if "attack_pairs" in kinds else 0,
        "judge_share_of_weight": _judge_share(round),
        "dropped": _dropped(
            [round.responses, *round.pairs, *round.left_out, *capped], _gone(round, training)
        ),
        **pairing.of_iteration(number, kinds.get("actor_pairs"), history),
        "accounts": accounts.of_round(round, training),
        "beside": besides.of_round(round, kinds.get("actor_pairs")),
        "judge_auc": anchors.judge_on_problems(round, history),
        "loss_first": training["loss_first"],
        "loss_last": training["loss_last"],
        "skipped": round.skipped,
        "trained_pairs": training["pairs_used"],
        "selection": round.training.choice.as_dict() if round.training and round.training.choice else None,
        "seconds": {
            **{name: round_off(rows.cost.seconds) for name, rows in steps.items()},
            **{name: round_off(result.seconds) for name, result in ahead.items()},
            "train": round_off(training["seconds"]),
        },
        "tokens": {
            **{name: _tokens(rows) for name, rows in steps.items()},
            **{name: {"trained": result.tokens} for name, result in ahead.items()},
            "train": {"trained": training["tokens"]},
        },
    }


def _judge_share(round: Round) -> float | None:
    """What the judge pairs have of the weight of all pairs given to training; None where nothing has any."""
    weights = dict.fromkeys(Role, 0.0)
    for part in round.training.pairs if round.training else round.pairs:
        for pair in part:
            weights[pair.role] += pair.weight
    total = sum(weights.values())
    return weights[Role.JUDGE] / total if total else None


def _training(round: Round) -> dict[str, Any]:
    if round.skipped:
        nothing = {"pairs_used": 0, "seconds": 0.0, "tokens": 0, "dropped": {}}
        return {**nothing, "loss_first": None, "loss_last": None}
    own = json.loads((Path(round.trained.path) / RESULT).read_text(encoding="utf-8"))
    whole = Path(round.trained.path).parent / (own.get("part_of") or "") / RESULT
    if whole.is_file():  # the epochs after the one that was taken were paid for, too
        paid = json.loads(whole.read_text(encoding="utf-8"))
        return {**own, "seconds": paid["seconds"], "tokens": paid["tokens"]}
    return own


def _gone(round: Round, training: dict[str, Any]) -> dict[str, int]:
    """What training dropped, and the pairs that the judge gate left out."""
    left_out = sum(map(len, round.left_out))
    return {**training["dropped"], **({LEFT_OUT: left_out} if left_out else {})}


def _gated(gated: Gated) -> dict[str, Any]:
    told = {"iteration": gated.iteration, "model": gated.model.name, "action": gated.action}
    return {
        **told,
        "passed": gated.report.passed,
        "verdict": gated.report.verdict,
        "told": len(gated.report.told),
        "held": len(gated.report.held),
        "left_out": sum(map(len, gated.left_out)),
        "signals": gated.report.as_dict(),
    }


def _answers(history: History) -> dict[str, dict[str, Any]]:
    """By model and by kind, what its answers looked like; another model's stand with the iteration's own."""
    found: dict[str, dict[str, Any]] = {}
    for one in history.answers:
        beside = one.kind in ("past", "future")
        name = f"M{one.iteration}" if beside else one.model.name
        found.setdefault(name, {})[one.kind] = {"action": one.action, **one.report.as_dict()}
    return found


def _attacked(attacked: Attacked) -> dict[str, Any]:
    return {"model": attacked.model.name, "action": attacked.action, "report": attacked.report.as_dict()}


def _tokens(rows: Artifact[Any]) -> dict[str, int]:
    return {"prompt": rows.cost.prompt_tokens, "output": rows.cost.output_tokens}


def _dropped(artifacts: list[Artifact[Any]], training: dict[str, int]) -> dict[str, int]:
    total = Counter(training)
    for artifact in artifacts:
        total.update(artifact.manifest.dropped)
    return dict(sorted(total.items()))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def round_off(seconds: float) -> float:
    """Seconds to a tenth."""
    return round(seconds, 1)
