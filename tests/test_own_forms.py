"""The benchmarks' own files are read as they are, and their published numbers come out."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metareward.errors import DataError
from metareward.evaluate.annotations import read_annotations
from metareward.evaluate.arena_files import read_battles
from metareward.evaluate.arena_hard import score
from metareward.evaluate.judge_data import read_pairs, read_ranked
from metareward.evaluate.judge_verdicts import score_file
from metareward.evaluate.mt_files import score_file as score_mt
from published_data import published


def write(folder: Path, name: str, *rows: Any) -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: "
TURNS = [{"role": "user", "content": "Why?"}]
AB = {"response_A": "a", "response_B": "b"}
ONE_TWO = {"response 1": "a", "response 2": "b"}
THREE = {"total_completions": 3}
AND = {"response_a": "a", "response_b": "b"}
PAIRS = [
    ({"question": "Why?", **AB, "label": "B>A", "source": "s"}, [("a", "b", 0.0, "s")]),
    ({"prompt": "Why?", **ONE_TWO, "label": 0, "scenario": "s"}, [("a", "b", 1.0, "s")]),
    ({"prompt": "Why?", **ONE_TWO, "label": 2}, [("a", "b", 0.5, "")]),
    ({"prompt": "Why?", **AND, "winner": "model_b"}, [("a", "b", 0.0, "")]),
    ({"prompt": "Why?", **AND, "winner": "tie"}, [("a", "b", 0.5, "")]),
    (
        {"orig_instruction": "Why?", "orig_response_A": "a", "orig_response_B": "b", "orig_preference": "A"},
        [("a", "b", 1.0, "")],
    ),
    ({"chosen": HH + "a", "rejected": HH + "b"}, [("a", "b", 1.0, "")]),
    (
        {
            "prompt": "Why?",
            "chosen": [*TURNS, {"role": "assistant", "content": "a"}],
            "rejected": [*TURNS, {"role": "assistant", "content": "b"}],
            "source": "x",
        },
        [("a", "b", 1.0, "")],
    ),
    (
        {"prompt": "Why?", "chosen": ["a"], "rejected": ["b", "c"], "subset": "Focus", **THREE},
        [("a", "b", 1.0, "Focus"), ("a", "c", 1.0, "Focus")],
    ),
    (
        {"prompt": "Why?", "chosen": ["1", "2", "3"], "rejected": ["4", "5", "6"], "domain": "chat"},
        [
            ("1", "4", 1.0, "chat normal"),
            ("1", "5", 1.0, "chat hard"),
            ("1", "6", 1.0, "chat hard"),
            ("2", "4", 1.0, "chat easy"),
            ("2", "5", 1.0, "chat normal"),
            ("2", "6", 1.0, "chat hard"),
            ("3", "4", 1.0, "chat easy"),
            ("3", "5", 1.0, "chat easy"),
            ("3", "6", 1.0, "chat normal"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), PAIRS, ids=[str(row)[:40] for row, _ in PAIRS])
def test_every_own_form_of_pairs(tmp_path, row, expected):
    pairs = read_pairs(write(tmp_path, "p.jsonl", row))
    assert [(p.first, p.second, p.better, p.category) for p in pairs] == expected
    assert all(pair.messages[-1].content == "Why?" for pair in pairs)


def test_hh_keeps_its_earlier_turns_also_within_gzip_and_parquet(tmp_path):
    row = {"chosen": HH + "a", "rejected": HH + "b"}
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    for name in ("p.jsonl.gz", "p.parquet"):
        (pair,) = read_pairs(tmp_path / name)
        assert [turn.content for turn in pair.messages] == ["Hi", "Hello.", "Why?"]


BAD = [
    (
        {"prompt": "x", **ONE_TWO, "label": True},
        "have a label that is none of 0, 1, 2",
    ),
    (
        {"prompt": "x", "response_a": "a", "response_b": "b", "winner": "c"},
        "have a label that is none of model_a",
    ),
    (
        {"input": "x", "output_1": "a", "output_2": "b", "label": False},
        "have a label that is none of 1, 2, 0",
    ),
    ({"input": "x", "output_1": "a", "output_2": "b", "label": 0}, "0 stands there and 2 nowhere"),
    (
        {"instruction": "x", "response1": "a", "response2": "b", "annotator1": "good"},
        "have a label that is none of",
    ),
    ({"chosen": HH + "a", "rejected": "\n\nHuman: Bye\n\nAssistant: b"}, "differ before the last answer"),
    ({"instruction": "x", "completions": [{"response": "a"}]}, "give the file with --ranks"),
    ({"prompt": "x", "chosen": ["a", 3], "rejected": ["b"]}, "have a response that is no text"),
]


@pytest.mark.parametrize(("row", "said"), BAD, ids=[said for _, said in BAD])
def test_odd_rows_of_pairs_are_refused(tmp_path, row, said):
    with pytest.raises(DataError, match=said):
        read_pairs(write(tmp_path, "p.jsonl", row))


def test_ultrafeedback_and_prometheus_are_rankings(tmp_path):
    completions = [{"response": "a", "overall_score": 8.5}, {"response": "b", "overall_score": 3.0}]
    rows, unrated = read_ranked(
        write(tmp_path, "u.jsonl", {"instruction": "Why?", "completions": completions})
    )
    assert [(row.response, row.quality) for row in rows] == [("a", 8.5), ("b", 3.0)]
    feedback = {
        "instruction": "whole task",
        "orig_instruction": "Why?",
        "orig_response": "a",
        "orig_score": "4",
    }
    rows, unrated = read_ranked(write(tmp_path, "f.jsonl", feedback))
    assert [(row.messages[0].content, row.response, row.quality) for row in rows] == [("Why?", "a", 4.0)]
    assert unrated == 0


def judge_bench(label: str, *decisions: str | None, source: str = "mmlu-pro-law") -> dict[str, Any]:
    judgments = [None if decision is None else {"decision": decision} for decision in decisions]
    return {"question": f"{source} {decisions}", "label": label, "source": source, "judgments": judgments}


def test_judge_bench_counts_a_pair_where_both_orders_together_are_right(tmp_path):
    file = write(
        tmp_path,
        "j.jsonl",
        judge_bench("A>B", "A>B", "B>A"),
        judge_bench("A>B", "A>B", "A=B"),
        judge_bench("A>B", "A>B", "A>B"),
        judge_bench("B>A", "A>B", "B>A", source="livecodebench"),
        judge_bench("B>A", "B>A", None, source="livecodebench"),
    )
    result = score_file(file)
    assert result["statistics"] == {"overall": 60.0, "knowledge": pytest.approx(200 / 3), "coding": 50.0}
    assert result["unread_verdicts"] == 1
    assert result["accuracy"]["value"] == pytest.approx(5.5 / 9)


def test_auto_js_agreement_and_consistency(tmp_path):
    pairs = [{"prompt": "x", **ONE_TWO, "label": n % 3} for n in range(6)]
    source = write(tmp_path, "source.jsonl", *pairs)
    told = write(tmp_path, "o.jsonl", *({"output": n} for n in (0, 1, 2, 0, 0, 0)))
    swapped = write(tmp_path, "x.jsonl", *({"output": n} for n in (1, 0, 2, 0, 1, 0)))
    assert score_file(told, source, swapped=swapped)["statistics"] == {
        "agreement": 50.0,
        "consistency": 66.67,
    }
    assert score_file(told, source)["statistics"] == {"agreement": 66.67}
    with pytest.raises(DataError, match="name it with --pairs"):
        score_file(told)
    with pytest.raises(DataError, match=r"5 outputs, and .* has 6 pairs"):
        score_file(write(tmp_path, "few.jsonl", *({"output": 0} for _ in range(5))), source)


def test_rm_benchs_difficulties_are_means_over_domains(tmp_path):
    right = {"domain": "chat", "score_chosen": [3, 3, 3], "score_rejected": [1, 2, 4]}
    wrong = {"domain": "math", "score_chosen": [0, 0, 0], "score_rejected": [1, 1, 1]}
    result = score_file(write(tmp_path, "s.jsonl", right, wrong))
    hard, normal, easy = 100 * 1 / 3 / 2, 100 * 2 / 3 / 2, 100 / 2
    expected = {
        "chat": 2 * (hard + normal + easy) / 3,
        "math": 0.0,
        "hard": hard,
        "normal": normal,
        "easy": easy,
    }
    assert result["statistics"] == pytest.approx({**expected, "overall": (hard + normal + easy) / 3})


def test_pandalms_tie_is_a_verdict_and_its_results_are_joined_by_idx(tmp_path):
    votes = [(1, 1, 2), (0, 0, 1), (2, 2, 2), (1, 1, 1)]
    rows = [
        {"idx": n, "instruction": f"{n}?", "input": "", "response1": "a", "response2": "b"}
        | {f"annotator{k}": vote for k, vote in enumerate(each, 1)}
        for n, each in enumerate(votes)
    ]
    pairs = write(tmp_path, "testset.jsonl", *rows)
    said = [{"idx": n, "gpt_result": r} for n, r in ((3, "garbage"), (0, "1"), (1, "Tie"), (2, "1"))]
    result = score_file(write(tmp_path, "gpt.jsonl", *said), pairs)
    assert result["unread_verdicts"] == 1
    assert result["agreement"]["value"] == pytest.approx(2 / 3)
    together = [{**row, "gpt35": r} for row, r in zip(rows, ("1", "Tie", "1", "garbage"), strict=True)]
    both = score_file(write(tmp_path, "both.jsonl", *together))["judges"]["gpt35"]
    assert both["agreement"] == result["agreement"]
    with pytest.raises(DataError, match="are not of the test set"):
        score_file(write(tmp_path, "odd.jsonl", {"idx": 9, "gpt_result": "1"}), pairs)


def test_labels_that_may_mean_two_things_are_refused(tmp_path):
    for label, verdict, said in (
        (0, 1, "the labels: 0 stands"),
        (2, 0, "the verdicts: 0 stands"),
        (True, 1, "none of|not 1, 2"),
    ):
        rows = [{"label": label, "verdicts": [verdict]}, {"label": 1, "verdicts": [1]}]
        with pytest.raises(DataError, match=said):
            score_file(write(tmp_path, "v.jsonl", *rows))
    rows = [{"label": 0, "verdicts": [0]}, {"label": 2, "verdicts": [2]}, {"label": 1, "verdicts": [1]}]
    assert score_file(write(tmp_path, "v.jsonl", *rows))["agreement"]["value"] == 1.0


def test_llmbars_own_result_has_its_statistics(tmp_path):
    def row(label: int, first: str, second: str) -> dict[str, Any]:
        winners = {"swap = False": {"winner": first}, "swap = True": {"winner": second}}
        return {"input": "x", "output_1": "a", "output_2": "b", "label": label, "results": [winners]}

    (run,) = score_file(write(tmp_path, "result.jsonl", row(1, "1", "1"), row(2, "1", "2")))["runs"]
    assert run["statistics"]["correct_average"] == "75.0%"
    assert run["statistics"]["equal"] == "1 / 2 = 50.0%"


def game(question: str, first: str, second: str, **more: Any) -> dict[str, Any]:
    return {"question_id": question, "model": "m1", "games": [{"score": first}, {"score": second}], **more}


def test_what_arena_hard_tells_again_counts_once_and_what_is_mixed_is_refused(tmp_path):
    one, other = game("q0", "B>A", "A>B", judge="j"), game("q1", "A>B", "B>A", judge="j")
    once, _ = read_battles(write(tmp_path, "a.jsonl", one, other), "base", "bradley-terry")
    again, _ = read_battles(write(tmp_path, "b.jsonl", one, one, one, other), "base", "bradley-terry")
    assert score(again, "base") == score(once, "base")
    assert score(again, "base")["m1"]["score"] == 50.0
    refused = [
        (
            [one, game("q0", "A>B", "A>B", judge="j")],
            "row 2 tells the games of 'm1' on question 'q0' otherwise",
        ),
        ([one, game("q1", "A>B", "A>B", judge="k")], r"2 values of 'judge': j \(1\), k \(1\)"),
        (
            [game("q0", "A>B", "A>B", category="x"), game("q1", "A>B", "A>B", category="y")],
            "2 values of 'category'",
        ),
        (
            [game("q0", "A>B", "A>B", baseline="other")],
            r"1 of 1 rows were not played against base \(row 1: 'other'\)",
        ),
        ([game("q0", "error", "A>B")], r"none of the benchmark's \(row 1: 'error'\)"),
        ([{"question_id": 1, "model_a": "a", "model_b": "b", "winner": "tie"}] * 7, "more than 6 battles"),
    ]
    for rows, said in refused:
        with pytest.raises(DataError, match=said):
            read_battles(write(tmp_path, "c.jsonl", *rows), "base", "bradley-terry")
    loose = game("q0", "B > A", "[[A>>B]]")
    fought, unread = read_battles(write(tmp_path, "d.jsonl", loose), "base", "bradley-terry")
    assert (len(fought), unread) == (4, 0)
    assert {battle.won for battle in fought} == {0.0}


def test_a_model_without_a_way_to_the_baseline_has_no_number(tmp_path):
    rows = [
        {"question_id": n, "model_a": a, "model_b": b, "winner": won}
        for n in range(4)
        for a, b, won in (("a", "b", "model_a" if n else "model_b"), ("c", "d", "model_b"), ("e", "a", "tie"))
    ]
    fought, _ = read_battles(write(tmp_path, "t.jsonl", *rows), "b", "bradley-terry")
    found = score(fought, "b")
    assert found["c"] == {"score": None, "lower": None, "upper": None, "battles": 4}
    assert found["d"]["score"] is None
    assert found["a"]["score"] == pytest.approx(75, abs=0.01)
    assert found["e"]["score"] == pytest.approx(75, abs=0.01)


def test_fastchats_appended_judgments_count_once_by_their_time(tmp_path):
    def rated(turn: int, rating: float, **more: Any) -> dict[str, Any]:
        return {"question_id": 1, "model": "m", "turn": turn, "judge": ["j", "p"], "score": rating, **more}

    file = write(
        tmp_path,
        "s.jsonl",
        rated(1, 3, tstamp=2.0),
        rated(2, 7),
        rated(1, 9, tstamp=5.0),
        rated(2, 7),
        rated(1, 1, tstamp=1.0),
    )
    result = score_mt(file)
    assert result["repeated"] == 3
    assert result["models"]["m"]["score"]["value"] == 8.0


def test_annotations_in_another_order_are_put_in_the_order_of_the_set(tmp_path):
    file = published("alpaca_eval", "instructions.jsonl")
    texts = [json.loads(line)["instruction"] for line in file.read_text().splitlines()]
    rows = [
        {"instruction": text, "output_1": "x" * (n + 1), "output_2": "y", "preference": 1.0}
        for n, text in enumerate(texts)
    ]
    shuffled = sorted(rows, key=lambda row: row["instruction"])
    (tmp_path / "a.json").write_text(json.dumps(shuffled))
    read = read_annotations(tmp_path / "a.json")
    assert [row.len_baseline for row in read.rows] == list(range(1, len(texts) + 1))
    own = [{**row, "instruction": f"Mine: {row['instruction']}"} for row in rows[:3][::-1]]
    assert [row.len_baseline for row in read_annotations(write(tmp_path, "own.jsonl", *own)).rows] == [
        3,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"system": "Be brief.", "prompt": "Why?"}, [("system", "Be brief."), ("user", "Why?")]),
        ({"system": "Be brief.", "question": "Why?"}, [("system", "Be brief."), ("user", "Why?")]),
        ({"instruction": "Add.", "input": "1 2"}, [("user", "Add.\n\n1 2")]),
        (
            {"prompt": "And you?", "history": [["Hi", "Ho"]]},
            [("user", "Hi"), ("assistant", "Ho"), ("user", "And you?")],
        ),
        ({"conversations": [{"from": "human", "value": "Why?"}]}, [("user", "Why?")]),
        ({"prompt": TURNS, "system": None, "context": ""}, [("user", "Why?")]),
    ],
    ids=["system", "question", "input", "history", "conversations", "nothing beside"],
)
def test_what_other_columns_say_of_a_prompt_is_not_left_out(tmp_path: Path, row: Any, turns: Any):
    """As with prompts of a run; else a judge is measured on questions that nobody had asked."""
    for form in (
        {"chosen": "a", "rejected": "b"},
        {"response_a": "a", "response_b": "b", "winner": "model_a"},
        {"chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}},
    ):
        (pair,) = read_pairs(write(tmp_path, "p.jsonl", {**row, **form}))
        assert [(turn.role, turn.content) for turn in pair.messages] == turns
        assert (pair.first, pair.second, pair.better) == ("a", "b", 1.0)
    (ranked,), _ = read_ranked(write(tmp_path, "r.jsonl", {**row, "response": "a", "quality": 3}))
    assert [(turn.role, turn.content) for turn in ranked.messages] == turns


def test_a_system_prompt_beside_whole_conversations_comes_first(tmp_path: Path):
    sides = [[*TURNS, {"role": "assistant", "content": text}] for text in "ab"]
    row = {"system": "Be brief.", "prompt": "Why?", "chosen": sides[0], "rejected": sides[1]}
    (pair,) = read_pairs(write(tmp_path, "p.jsonl", row))
    assert [(turn.role, turn.content) for turn in pair.messages] == [
        ("system", "Be brief."),
        ("user", "Why?"),
    ]
    for name in ("images", "tools"):
        with pytest.raises(DataError, match=r"1 of 1 rows cannot be used: (pictures or sound|tool conver)"):
            read_pairs(write(tmp_path, "p.jsonl", {**row, name: ["x"]}))
