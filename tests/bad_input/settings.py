"""Values that a setting cannot have. All are refused before a prompt is read or a model fetched."""

from bad_input.case import RUN, Case, setting

SEEDS = "must be in 0 .. 2^32 - 1"
ABOVE = "must be a number above 0"
TRAINING = "machine.training"


def both(more: str) -> str:
    return "[machine.training]\n" + more


CASES = [
    setting(
        "[reasoning]\nmarkers = ['<think>']",
        "reasoning.markers must be 'auto', 'keep' or two texts, neither of them in the other, such as <plan> and "
        '</plan>, not ["<think>"]',
    ),
    setting("[reasoning]\nthinking = 'no'", "reasoning.thinking must be true or false, not 'no'"),
    setting("[judge]\nsamples = 'three'", "judge.samples must be a whole number, not 'three'"),
    setting("[judge]\nsamples = 2.5", "judge.samples must be a whole number, not 2.5"),
    setting("[judge]\nsamples = true", "judge.samples must be a whole number, not true"),
    setting("[judge]\nsamples = [1]", "judge.samples must be a whole number, not [1]"),
    setting(
        "[judge]\nsamples = 2026-01-01",
        "judge: 2026-01-01 is a date or a time, which no setting takes; quote it if it is a text",
    ),
    setting("[judge]\nsamples = 0", "judge.samples must be at least 1 and at most 10,000, not 0"),
    setting(
        "[generate]\nsamples = 1_000_000_000",
        "generate.samples must be at least 1 and at most 10,000, not 1000000000",
    ),
    setting("[watch]\nresponses = -1", "watch.responses must be at least 1 and at most 10,000, not -1"),
    setting("[generate]\ntemperature = '1'", "generate.temperature must be a number, not '1'"),
    setting(
        "[generate]\ntemperature = nan", "generate.temperature must be 0 (greedy) or 0.001 to 100, not nan"
    ),
    setting("[judge]\ntemperature = inf", "judge.temperature must be 0 (greedy) or 0.001 to 100, not inf"),
    setting(
        "[judge]\ntemperature = 1e300", "judge.temperature must be 0 (greedy) or 0.001 to 100, not 1e+300"
    ),
    setting("[generate]\ntop_p = 0", "generate.top_p must be above 0 and at most 1, not 0…"),
    setting("[meta_judge]\ntop_p = nan", "meta_judge.top_p must be above 0 and at most 1, not nan"),
    setting(
        "[generate]\nmax_tokens = 0", "generate.max_tokens must be at least 1 and at most 10,000,000, not 0"
    ),
    setting("[judge]\nreading = 'guess'", "judge.reading must be 'free' or 'forced', not 'guess'"),
    setting("seed = -1", f"seed {SEEDS}, not -1"),
    setting("seed = 99999999999999999999", f"seed {SEEDS}, not 99999999999999999999"),
    setting("[judge]\nseed = -5", f"judge.seed {SEEDS}, not -5"),
    setting("[dpo]\nlearning_rate = nan", f"dpo.learning_rate {ABOVE}, not nan"),
    setting("[dpo]\nlearning_rate = inf", f"dpo.learning_rate {ABOVE}, not inf"),
    setting("[dpo]\nbeta = -0.1", f"dpo.beta {ABOVE}, not -0.1"),
    setting("[dpo]\nrouter_loss = -1", "dpo.router_loss must be a number, 0 or more, not -1.0"),
    setting("[dpo]\nweight_decay = inf", "dpo.weight_decay must be a number, 0 or more, not inf"),
    setting("[dpo]\nepochs = 0", "dpo.epochs must be at least 1, not 0"),
    setting(
        "[dpo]\nstop_after_epoch = 11", "dpo.stop_after_epoch must be unset or 1 to 10 (dpo.epochs), not 11"
    ),
    setting(
        "[dpo]\nscheduler = 'cosin'", "dpo.scheduler must be 'cosine', 'linear' or 'constant', not 'cosin'"
    ),
    setting("[answers]\naction = 'drop'", "answers.action must be 'warn' or 'stop', not 'drop'"),
    setting("[answers]\nmax_loops = 2", "answers.max_loops must be between 0 and 1, not 2.0"),
    setting("prior = nan", f"prior {ABOVE}, not nan"),
    setting("iterations = []", "iterations must be given as [[iterations]] tables, one for each iteration"),
    setting(
        "[[iterations]]\nrho = 0.5", "iterations[0].rho must be at least 0 and below 0.5, or 'auto', not 0.5"
    ),
    setting(
        "[[iterations]]\nroles = []", "iterations[0].roles must be at least one of 'actor', 'judge', not []"
    ),
    setting(
        "[[iterations]]\nroles = ['critic']", "iterations[0].roles.0 must be 'actor' or 'judge', not 'critic'"
    ),
    setting(
        "[[iterations]]\n[[iterations]]\nlearning_rate = nan",
        f"iterations[1], with [dpo]: dpo.learning_rate {ABOVE}, not nan",
    ),
    setting(
        "[[iterations]]\nstop_after_epoch = 20",
        "iterations[0], with [dpo]: dpo.stop_after_epoch must be unset or 1 to 10 (dpo.epochs), not 20",
    ),
    setting(
        "recipe = 'dpo'",
        "recipe must be 'meta_rewarding', 'self_rewarding', 'temporal', 'cream' or 'combined', not 'dpo'",
    ),
    setting("recipe = ['meta_rewarding']", 'recipe must be a text (in quotes), not ["meta_rewarding"]'),
    setting("model = ''", "model must be a name, not ''; leave it out for the default"),
    setting("directory = ' '", "directory must be a name, not ' '; leave it out for the default"),
    setting("directory = '~nobody_here/x'", "directory: there is no home directory for '~nobody_here/x'"),
    setting("[prompts]\nsource = ''", "prompts.source must be a name (leave it out for the default), not ''"),
    setting("[prompts]\nheld_out = -1", "prompts.held_out must be 0 or more, not -1"),
    setting("[prompts]\nskip_too_long = 'yes'", "prompts.skip_too_long must be true or false, not 'yes'"),
    setting("[machine]\nengine = 'vllm'", "machine.engine must be 'transformers' or 'fake', not 'vllm'"),
    setting(
        "[machine]\ndevice = 'gpu'",
        "machine.device must be 'auto', 'cpu', 'cuda', 'cuda:0' (or another number) or 'mps', not 'gpu'",
    ),
    setting(
        "[machine]\ndtype = 'int4'",
        "machine.dtype must be 'auto', 'float32', 'bfloat16' or 'float16', not 'int4'",
    ),
    setting(both("processes = 0"), f"{TRAINING}.processes must be at least 1, not 0"),
    setting(
        both("processes = 3"),
        f"dpo.batch_size must be a multiple of {TRAINING}.processes x pairs_per_device (3 x 1), not 32",
    ),
    setting(
        both("accelerate_config = 'none.yaml'"),
        f"{TRAINING}.accelerate_config: cannot read none.yaml: there is no such file",
    ),
    setting(
        both("report_to = ['wand']"),
        f"{TRAINING}.report_to must be a list of 'trackio', 'wandb' or 'tensorboard', not 'wand'",
    ),
    setting(both("checkpoint_minutes = inf"), f"{TRAINING}.checkpoint_minutes {ABOVE}, not inf"),
    setting("[plan]\nprompt_tokens = nan", f"plan.prompt_tokens {ABOVE}, not nan"),
    setting("[plan]\nprompt_tokens_per_second = 0", f"plan.prompt_tokens_per_second {ABOVE}, not 0.0"),
    setting(
        "[[iterations]]\nmin_score_margin = -1",
        "iterations[0].min_score_margin must be 0 or more and at most 100, not -1.0",
    ),
    setting(
        "[generate]\nsamples = 1",
        "generate.samples is 1, and a pair of iterations[0] needs two different responses to a prompt: set it to "
        "2 or more, or train the judge alone (roles = ['judge'])",
    ),
    setting(
        "[generate]\ntemperature = 0",
        "generate.temperature is 0, so the 7 responses to a prompt are the same and iterations[0] can make no "
        "actor pair: set it above 0, or train the judge alone (roles = ['judge'])",
    ),
    setting(
        "[judge]\nsamples = 1",
        "judge.samples is 1, and a battle of iterations[0] needs two judgments of a response: set it to 2 or "
        "more, or train the actor alone (roles = ['actor'])",
    ),
    setting(
        "[judge]\ntemperature = 0",
        "judge.temperature is 0, so the judgments of a response are the same and iterations[0] can make no judge "
        "pair: set it above 0, or train the actor alone (roles = ['actor'])",
    ),
    setting(
        "recipe = 'cream'\n[[iterations]]\nroles = ['judge']",
        "iterations[0].roles must have 'actor' in it: cream trains no judge",
    ),
    Case(
        "a share that leaves no judge pair",
        "metareward plan c.toml",
        "iterations[0].max_judge_share is 0.1, which beside at most 4 actor pairs leaves no judge pair: raise it, "
        "give more prompts, or set judge_share_by = 'weight'",
        files={"c.toml": RUN.replace("rho = 0.3", "max_judge_share = 0.1")},
    ),
    Case(
        "a model's name that is none, with the fake engine",
        "metareward run c.toml",
        "unknown model 'no-such-model'…",
        files={"c.toml": 'model = "no-such-model"\n' + RUN},
    ),
    Case(
        "more iterations than prompts",
        "metareward plan c.toml",
        "prompts: 1000 iterations of at least 1 prompts and 0 held out need 1000 prompts, and there are 164; "
        "lower per_iteration or held_out in [prompts], or give more prompts…",
        files={"c.toml": "[[iterations]]\n" * 1000},
    ),
    Case(
        "more prompts an iteration than there are",
        "metareward run c.toml",
        "prompts: 1 iterations of 1000000000000 prompts and 2 held out need 1000000000002 prompts, and there are…",
        files={"c.toml": RUN.replace("per_iteration = 4", "per_iteration = 1_000_000_000_000")},
    ),
]
