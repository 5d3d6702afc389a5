"""Plans are exact: each job once, within limits, every prompt put together again from its levels."""

from hypothesis import given
from hypothesis import strategies as st

from metareward.engines.base import Request, Sampling
from metareward.engines.batching import Job, Level, Limits, Plan, common_length, plan, plan_batches
from metareward.records import Message

ids = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)
# Long shared beginnings, so that sharing pays and families appear.
stems = st.sampled_from([(), tuple(range(40)), (*range(40), *range(60)), (*range(30), 7, *range(50))])
prompts = st.tuples(stems, ids).map(lambda parts: parts[0] + parts[1])
asked = st.lists(st.tuples(prompts, st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=12)


def jobs_of(drawn) -> list[Job]:
    jobs = []
    for prompt, max_tokens, samples in drawn:
        for _ in range(samples):
            request = Request(f"r{len(jobs)}", (Message("user", "-"),), Sampling(max_tokens=max_tokens), 0)
            jobs.append(Job(request, prompt))
    return jobs


def prompts_of(batch: Plan) -> list[tuple[int, ...]]:
    """Follow every job's row through the levels."""
    whole: list[tuple[int, ...]] = [()]
    for number, level in enumerate(batch.levels):
        above = whole if number else [()] * (max(level.parents) + 1)
        whole = [above[p] + s for p, s in zip(level.parents, level.suffixes, strict=True)]
    return [whole[row] for row in batch.rows]


@given(asked)
def test_levels_put_together_are_the_prompts(drawn):
    batch = plan(jobs_of(drawn))
    assert prompts_of(batch) == [job.prompt for job in batch.jobs]
    assert sorted(job.request.id for job in batch.jobs) == sorted(job.request.id for job in jobs_of(drawn))
    assert len(batch.levels) <= 3


@given(asked)
def test_the_last_level_computes_something_for_each_distinct_prompt_once(drawn):
    batch = plan(jobs_of(drawn))
    last = batch.levels[-1]
    assert len(last.suffixes) == len({job.prompt for job in batch.jobs})
    assert all(last.suffixes)
    for level in batch.levels:
        assert list(map(len, level.suffixes)) == sorted(map(len, level.suffixes))


@given(asked)
def test_sharing_never_costs_more_than_not_sharing(drawn):
    batch = plan(jobs_of(drawn))
    plain = Level((0,), tuple({job.prompt for job in batch.jobs}))
    assert batch.cost <= Plan((plain,), (), ()).cost


@given(asked, st.integers(1, 9), st.integers(1, 400))
def test_batches_hold_each_job_once_and_keep_to_the_limits(drawn, rows, tokens):
    jobs = jobs_of(drawn)
    batches = plan_batches(jobs, Limits(rows, tokens, 1000))
    held = [job.request.id for batch in batches for job in batch.jobs]
    assert sorted(held) == sorted(job.request.id for job in jobs)
    for batch in batches:
        assert len(batch.jobs) <= rows
        longest = max(len(job.prompt) + job.new_tokens for job in batch.jobs)
        assert len(batch.jobs) == 1 or len(batch.jobs) * longest <= tokens


def test_no_jobs_no_batches():
    assert plan_batches([], Limits(4, 100, 100)) == []


def test_samples_of_a_prompt_stay_together_and_are_computed_once():
    jobs = jobs_of([((1,) * 50, 5, 4), ((2,) * 50, 5, 4), ((3,) * 50, 5, 4)])
    batches = plan_batches(jobs, Limits(9, 10_000, 1000))
    assert [len({job.prompt for job in batch.jobs}) for batch in batches] in ([2, 1], [1, 2])
    assert sum(level.tokens for batch in batches for level in batch.levels) == 150


def test_the_last_batch_is_not_left_with_one_row():
    batches = plan_batches(jobs_of([((n,) * 5, 5, 1) for n in range(65)]), Limits(64, 10**6, 1000))
    assert sorted(len(batch.jobs) for batch in batches) == [32, 33]


def test_a_rubric_a_response_and_judgments_are_three_levels():
    rubric, first, second = (9,) * 200, (*range(100),), (*range(50, 150),)
    drawn = [(rubric + response + (k,) * 30, 5, 1) for response in (first, second) for k in range(6)]
    batch = plan(jobs_of(drawn))
    assert [len(level.suffixes) for level in batch.levels] == [1, 2, 12]
    assert [level.tokens for level in batch.levels] == [200, 200, 360]


@given(ids, ids)
def test_common_length(a, b):
    length = common_length(a, b)
    assert a[:length] == b[:length]
    assert length == min(len(a), len(b)) or a[length] != b[length]


def test_common_prefixes_meet_even_if_lengths_alternate():
    """Ordered by length, each batch would hold both families and compute both prefixes."""
    drawn = [((family,) * 200 + (k,) * (10 + 2 * k + family), 5, 1) for family in (0, 1) for k in range(4)]
    batches = plan_batches(jobs_of(drawn), Limits(4, 10**6, 1000))
    assert [len({job.prompt[0] for job in batch.jobs}) for batch in batches] == [1, 1]


def test_without_common_prefixes_lengths_meet():
    drawn = [((number,) + (9,) * (10 + 50 * (number % 2)), 5, 1) for number in range(8)]
    batches = plan_batches(jobs_of(drawn), Limits(4, 10**6, 1000))
    assert [{len(job.prompt) for job in batch.jobs} for batch in batches] == [{11}, {61}]
