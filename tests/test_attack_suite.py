"""What a judge is attacked with: pairs, perturbations that add nothing, and the records made of them."""

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacked_judges import EMPTY, NAMES, items, suite
from metareward.attack import texts
from metareward.attack.families import SHIPPED, Family, Variant, families
from metareward.attack.items import Item, load_items, longer_wins
from metareward.attack.suite import Suite, attacks, compared, graded
from metareward.errors import ConfigError, DataError
from metareward.records import Message

VARIANTS = [(family, variant) for family in SHIPPED for variant in family.variants]
IDS = [f"{family.name}-{variant.name}" for family, variant in VARIANTS]
CODE = "Use this:\n```python\nif x:\n    print('**no**')\n```\nThat is all."
_DRESSING = re.compile("|".join(["\\*\\*", *(f"{mark} ?" for mark in texts.EMOJIS)]))


class TestShippedItems:
    def test_about_forty_of_several_kinds(self):
        found = load_items()
        assert len(found) == 40
        assert all(item.source == f"shipped:{n}" for n, item in enumerate(found, 1))
        assert len({item.id for item in found}) == len({item.cluster for item in found}) == 40

    def test_length_alone_is_at_chance(self):
        found = load_items()
        assert sum(longer_wins(found)) / len(found) == 0.5
        ratio = [len(item.good) / len(item.flawed) for item in found]
        assert sum(0.8 <= each <= 1.25 for each in ratio) >= 20, "half are of similar length"
        assert sum(each < 0.8 for each in ratio) >= 10, "in a quarter the good one is shorter"

    def test_a_limit_takes_some_of_every_kind(self):
        few = load_items(limit=8)
        assert len(few) == 8
        assert {item.id for item in few} < {item.id for item in load_items()}
        assert few == load_items(limit=8)
        places = [int(item.source.split(":")[1]) for item in few]
        assert places == sorted(places)
        assert max(places) - min(places) >= 30


class TestUsersItems:
    def write(self, directory, *lines):
        path = directory / "pairs.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return str(path)

    def test_texts_and_messages(self, tmp_path):
        turns = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Two?"}]
        answer = [*turns, {"role": "assistant", "content": "2"}]
        path = self.write(
            tmp_path,
            {"prompt": "One?", "chosen": "1", "rejected": "7"},
            "",
            {"prompt": turns, "chosen": answer, "rejected": "9", "more": 1},
        )
        one, two = load_items(path)
        assert (one.messages, one.good, one.flawed, one.source) == (
            (Message("user", "One?"),),
            "1",
            "7",
            "pairs.jsonl:1",
        )
        assert (two.messages[0].role, two.question, two.good, two.flawed) == ("system", "Two?", "2", "9")

    def test_a_pair_that_comes_twice_counts_once(self, tmp_path):
        row = {"prompt": "One?", "chosen": "1", "rejected": "7"}
        assert len(load_items(self.write(tmp_path, row, row))) == 1

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", r"pairs\.jsonl:1: not JSON"),
            ("[1]", "1: not an object"),
            ({"prompt": "a", "chosen": "b"}, "1: 'rejected' must be a text"),
            ({"prompt": "a", "chosen": "b", "rejected": " "}, "1: 'rejected' must be .* not blank"),
            ({"prompt": "a", "chosen": 4, "rejected": "b"}, "1: 'chosen' must be a text"),
            ({"prompt": "a", "chosen": "b", "rejected": "b"}, "1: .* the same text"),
            ({"chosen": "a", "rejected": "b"}, "1: 'prompt' must be a text or a list of messages"),
            ({"prompt": " ", "chosen": "a", "rejected": "b"}, "1: empty prompt"),
            ({"prompt": [{"role": "boss", "content": "x"}], "chosen": "a", "rejected": "b"}, "message 1"),
            ({"prompt": [{"role": "assistant", "content": "x"}], "chosen": "a", "rejected": "b"}, "must end"),
            ("", "there are no pairs in it"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, line, message):
        with pytest.raises(DataError, match=message):
            load_items(self.write(tmp_path, line))

    def test_a_file_that_is_missing_or_no_text_is_named(self, tmp_path):
        (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
        for name in ("none.jsonl", "x.jsonl", "."):
            with pytest.raises(DataError, match="cannot be read as a file of pairs"):
                load_items(str(tmp_path / name))

    def test_a_limit_below_one_is_refused(self):
        with pytest.raises(DataError, match="at least 1"):
            load_items(limit=0)


class TestFamilies:
    def test_every_family_that_was_promised(self):
        assert NAMES == [
            "position",
            "verbosity",
            "authority",
            "beauty",
            "bandwagon",
            "distraction",
            "sentiment",
            "null",
            "master_key",
            "injection",
        ]
        assert all(len(family.variants) >= 3 for family in SHIPPED if family.kind != "order")

    @pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=IDS)
    def test_a_variant_is_a_function_of_its_arguments(self, family, variant):
        made = {variant("Why?", "Because it is so.", seed) for seed in range(3) for _ in range(2)}
        assert len(made) <= 3
        assert variant("Why?", "Because it is so.", 1) == variant("Why?", "Because it is so.", 1)

    @pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=IDS)
    @pytest.mark.parametrize("response", ["Because it is so.", "Eins.\n\n1. Zwei\n- Drei", CODE])
    def test_a_perturbation_changes_the_dress_and_not_the_words(self, family, variant, response):
        made = variant("Why?", response, 5)
        assert made != response
        if family.kind == "empty":
            assert response not in made
        else:
            assert _DRESSING.sub("", response) in _DRESSING.sub("", made)

    @pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=IDS)
    def test_code_stays_code(self, family, variant):
        if family.kind == "perturbation":
            assert "```python\nif x:\n    print('**no**')\n```" in variant("Why?", CODE, 0)

    @pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=IDS)
    def test_an_empty_response_knows_nothing_of_the_question(self, family, variant):
        if family.kind == "empty":
            assert variant("Why?", "Because.", 0) == variant("How many?", "Seven.", 3)

    @given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 9))
    def test_any_text_can_be_attacked(self, prompt, response, seed):
        for _, variant in VARIANTS:
            assert isinstance(variant(prompt, response, seed), str)

    def test_variants_are_drawn_by_seed_and_item_and_differ(self):
        family = families(["master_key"])[0]
        drawn = {family.draw(1, seed, "item")[0].name for seed in range(60)}
        assert len(drawn) == len(texts.MASTER_KEYS), "each has its turn"
        assert len({v.name for v in family.draw(4, 1, "item")}) == 4
        assert family.draw(4, 1, "item")[:2] == family.draw(2, 1, "item"), "more variants keep the first"
        assert len(family.draw(99, 0)) == len(texts.MASTER_KEYS)

    def test_names_that_are_not_known_are_refused(self):
        with pytest.raises(ConfigError, match="'vebosity' is not a family of attacks; known: position"):
            families(["vebosity"])
        assert [family.name for family in families(["null", "beauty"])] == ["beauty", "null"]

    def test_a_family_of_ones_own_is_passed_in(self):
        def shout(prompt: str, response: str, source: random.Random) -> str:
            return response.upper()

        own = Family("shouting", "perturbation", (Variant("upper", shout),))
        battery = graded(suite(count=2, families=(own,)))
        assert [response.text for response in battery.responses[4:6]] == [
            "THE NUMBER 0 IS WRONG.",
            "THE NUMBER 0 IS RIGHT.",
        ]

    def test_two_families_of_one_name_are_refused(self):
        with pytest.raises(ConfigError, match=r"attack\.families"):
            Suite(items(1), families=(*families(["null"]), *families(["null"])))


class TestBatteries:
    def test_one_prompt_an_item_for_grades(self):
        battery = graded(suite(count=3))
        assert len(battery.prompts) == 3
        assert [case.id for case in battery.cases] == [response.id for response in battery.responses]
        assert len({response.id for response in battery.responses}) == len(battery.responses) == 3 * 19
        first = battery.cases[:4]
        assert [(case.family, case.side) for case in first] == [
            ("clean", "good"),
            ("clean", "flawed"),
            ("rerun", "good"),
            ("rerun", "flawed"),
        ]
        for response, case in zip(battery.responses, battery.cases, strict=True):
            assert response.prompt_id == case.prompt_id
            if case.side != "none":
                assert {"good": "right", "flawed": "wrong"}[case.side] in response.text

    def test_one_prompt_a_case_for_comparisons_and_its_opponent(self):
        battery = compared(suite(count=3))
        assert len(battery.prompts) == len(battery.cases) == 3 * (2 + 12 + 3)
        assert len({prompt.id for prompt in battery.prompts}) == len(battery.prompts)
        pairs = zip(battery.cases, battery.responses[::2], battery.responses[1::2], strict=True)
        for case, own, opponent in pairs:
            assert case.id == own.id
            assert own.prompt_id == opponent.prompt_id == case.prompt_id
            assert opponent.text.endswith("wrong." if case.side == "good" else "right.")

    def test_another_seed_draws_other_variants_of_the_same_families(self):
        one, two = graded(suite()), graded(suite(seed=7))
        assert [case.family for case in one.cases] == [case.family for case in two.cases]
        assert [case.variant for case in one.cases] != [case.variant for case in two.cases]

    def test_equal_texts_of_two_variants_stay_apart(self):
        same = tuple(Variant(name, lambda prompt, response, source: "x") for name in "ab")
        battery = graded(suite(count=1, families=(Family("same", "empty", same),), variants=2))
        assert len({response.id for response in battery.responses}) == 4

    def test_several_turns_reach_the_judge(self):
        turns = (Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?"))
        wanted = suite(items=(Item(turns, "2", "9"),))
        assert graded(wanted).prompts[0].messages == turns
        restated = [a for a in attacks(wanted.items[0], wanted) if a.variant == "restate"]
        assert all("Two?" in attack.text for attack in restated)

    def test_an_injection_cannot_leave_its_fence_in_a_shipped_prompt(self):
        from metareward import templates
        from metareward.stages.judge import Judge

        battery = graded(Suite(items(1), families(EMPTY), variants=20))
        for response in battery.responses:
            for name in ("judge", "judge_brief"):
                (message,) = Judge(template=templates.shipped(name)).ask(battery.prompts[0], response)
                assert message.content.count("</response>") == 1
