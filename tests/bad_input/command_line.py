"""Arguments that lead nowhere."""

from bad_input.case import Case
from bad_input.runs import nothing, run, write

NO_RUN = "holds no run; give the directory of one (the config's `directory`)"
CASES = [
    Case("no command", "metareward", "…Usage: metareward [OPTIONS] COMMAND [ARGS]...…"),
    Case("an unknown command", "metareward paln c.toml", "…No such command 'paln'. Did you mean 'plan'?"),
    Case("no config", "metareward run", "…Usage: metareward run [OPTIONS] …CONFIG… Missing argument 'CONFIG'."),
    Case("an unknown option", "metareward run c.toml --directroy x", "…No such option: --directroy…"),
    Case("an option without its value", "metareward run c.toml -d", "…Option '-d' requires an argument."),
    Case("one argument too many", "metareward plan a.toml b.toml", "…Got unexpected extra argument(s) (b.toml)"),
    Case("`show` where no run is", "metareward show abcdef", "there is no run below runs/; name one with --run DIRECTORY"),
    run("an id that is too short", nothing, "'abc' is too short for an id; give 6 or more characters of it",
        "metareward show abc"),
    run("an id that nothing has", nothing, "no record has an id that begins with '00000000'. Searched the finished steps of: "
        "runs/c", "metareward show 00000000"),
    run("an id of 1,000 letters", nothing, "'xxx…... is no id of a record; copy one from a table, a card or --json",
        f"metareward show {'x' * 1000}"),
    run("an id that is no text", nothing, "'abcdéf' is no id of a record; copy one from a table, a card or --json",
        "metareward show abcdéf"),
    run("`--run` with something else", nothing, f"c.toml {NO_RUN}", "metareward show abcdef --run c.toml"),
    Case("`verify` of nothing", "metareward verify nowhere", f"nowhere {NO_RUN}"),
    Case("`export` of nothing", "metareward export nowhere out", "nowhere holds no finished step of a run, so there is nothing "
         "to export"),
    run("`export` to a place that is not empty", nothing, "runs exists and is not empty; name a directory that is empty or does "
        "not exist", "metareward export runs/c runs"),
    run("`export` below a file", write("f", ""), "f/out: cannot be made: File exists; name another directory",
        "metareward export runs/c f/out"),
    run("`export` into the run itself", nothing, "runs/c/artifacts/out lies among the files of the run; name a directory outside "
        "runs/c", "metareward export runs/c runs/c/artifacts/out"),
    run("`export` to a name of 300 letters", nothing, "…x: File name too long; give another name",
        f"metareward export runs/c {'x' * 300}"),
    Case("`models get` of an unknown name", "metareward models get smollm2", "unknown model 'smollm2'; did you mean "
         "'smollm2-135m-instruct'? The catalogue has: qwen2.5-coder-0.5b-instruct, qwen2.5-coder-1.5b-instruct, "
         "smollm2-135m-instruct. A local …"),
]  # fmt: skip
