"""A dataset of a run whose judge pairs were weighed: they stand for the plain ones, and for nothing else."""

from pathlib import Path

import pyarrow.parquet as pq

import loops
import planted
from metareward.export.dataset import export_run
from metareward.recipes.settings import Iteration


def test_actor_pairs_that_the_weights_were_taken_from_stay(tmp_path: Path):
    settings = loops.small_meta(iterations=(Iteration(max_judge_share=0.2, judge_share_by="weight"),))
    run, _ = loops.loop(tmp_path / "run", loops.Asked(planted.World()), settings=settings, prompts=12)
    (round,) = run.history.rounds
    assert round.training is not None
    export_run(run.store.root, tmp_path / "data")
    trained = [pair.id for part in round.training.pairs for pair in part]
    written = [
        pair_id
        for name in ("actor_pairs", "judge_pairs")
        for path in sorted((tmp_path / "data" / name).glob("*.parquet"))
        for pair_id in pq.read_table(path, columns=["pair_id"])["pair_id"].to_pylist()
    ]
    assert sorted(written) == sorted(trained)
