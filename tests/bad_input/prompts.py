"""Files of prompts that cannot be used, and templates that cannot be filled."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bad_input.case import FAKE, TWO, Case, Make

PLAN = "metareward plan c.toml"
TAKES = "(prompts.source takes a file that ends in .jsonl, .json, .csv, .tsv, .txt, .parquet, or the id of a hub dataset)"
ENDS = TAKES.replace("a file that", "'shipped', a file that")
FORMS = 'a row is {"prompt": text or messages}, {"messages": [...]}, {"conversations": [{"from", "value"}]}, {"instruction": text, "input": text}, or a text alone'


def rows(
    what: str,
    name: str,
    content: str | bytes | None,
    says: str,
    make: Make | None = None,
    more: str = "",
    command: str = PLAN,
    **other: Any,
) -> Case:
    """A file of prompts of that name; `more` goes into [prompts]."""
    files: dict[str, str | bytes] = {"c.toml": f'[prompts]\nsource = "{name}"\n{more}{FAKE}'}
    if content is not None:
        files[name] = content
    return Case(what, command, says, files=files, make=make, **other)


def parquet(what: str, table: Callable[[], pa.Table], says: str) -> Case:
    return rows(what, "p.parquet", None, says, lambda d: pq.write_table(table(), d / "p.parquet"))


def not_utf8() -> pa.Table:
    raw = pa.array([b"\xff\xfe", b"b"])
    return pa.table({"prompt": pa.Array.from_buffers(pa.string(), 2, raw.buffers())})


def long_line(directory: Path) -> None:
    with (directory / "p.jsonl").open("w") as file:
        file.write(json.dumps({"prompt": "x" * 70_000_000}))


def row(what: str, line: str, says: str, **more: Any) -> Case:
    return rows(what, "p.jsonl", line + "\n", f"p.jsonl:1: {says}", **more)


LIKE_A_FILE = [
    rows("no such file", "p.jsonl", None, f"p.jsonl: there is no such file {ENDS}"),
    rows("a directory", "p", None, f"p: is a directory; name a file {TAKES}", lambda d: (d / "p").mkdir()),
    rows(
        "a pipe",
        "p.jsonl",
        None,
        f"p.jsonl: is a pipe or a device; save what it gives in a file and name that {TAKES}",
        lambda d: os.mkfifo(d / "p.jsonl"),
    ),
    rows(
        "a pipe named as Parquet",
        "p.parquet",
        None,
        f"p.parquet: is a pipe or a device; save what it gives in a file and name that {TAKES}",
        lambda d: os.mkfifo(d / "p.parquet"),
    ),
    rows(
        "standard input",
        "/dev/stdin",
        None,
        f"/dev/stdin: is a pipe or a device; save what it gives in a file and name that {TAKES}",
        command=f"echo x | {PLAN}",
        process=True,
    ),
    rows(
        "a link that leads nowhere",
        "p.jsonl",
        None,
        f"p.jsonl: is a link that leads nowhere {TAKES}",
        lambda d: (d / "p.jsonl").symlink_to("elsewhere"),
    ),
    rows("a name of 300 letters", "x" * 300 + ".jsonl", None, "…x.jsonl: File name too long; give another name"),
    rows("an address", "https://example.org/p.jsonl", None, "prompts.source: 'https://example.org/p.jsonl' is an "
         "address; download it and name the file"),
    rows("another kind of file", "p.xml", "<p/>", "p.xml: a file of prompts must end in .jsonl, .json, .csv, .tsv, .txt, "
         ".parquet, not '.xml'."),
    rows("compressed by zstd", "p.jsonl.zst", b"x", "p.jsonl.zst: a file of prompts must end in .jsonl, .json, .csv, .tsv, "
         ".txt, .parquet, not '.zst'. Unpack it first."),
    rows("gzip that is cut short", "p.jsonl.gz", gzip.compress(TWO.encode() * 99)[:-20], "p.jsonl.gz: cannot be unpacked as "
         "gzip: …; fetch the file again"),
    rows("a hub's own address, in a plan", "hf://datasets/a/b", None, "prompts.source: 'hf://datasets/a/b' is an address; "
         "download it and name the file (of a hub dataset give the id alone: owner/name)"),
    rows("a variable of the shell", "$HOME/p.jsonl", None, "c.toml: prompts.source must be written out (variables such as "
         "$HOME are not filled in; ~ is), not '$HOME/p.jsonl'"),
    rows("a split of a file", "p.jsonl", TWO, "prompts.split: p.jsonl is one file and has no split 'test'; leave split out, or "
         "name the file of that split", more='split = "test"\n'),
    rows("a table with a comma too many", "p.csv", "prompt,id\na,b,1\n", "p.csv:2: 3 values, and the first line names 2 "
         "columns; put values with commas in quotes"),
    rows("compressed, under another name", "p.jsonl", gzip.compress(b"{}"), "p.jsonl:1: is compressed (gzip): unpack "
         "it first"),
    rows("empty", "p.jsonl", "", f"p.jsonl: there are no prompts in it; {FORMS}"),
    rows("UTF-16", "p.jsonl", TWO.encode("utf-16"), "p.jsonl:1: is UTF-16: save it as UTF-8"),
    rows("Latin-1 in line 2", "p.jsonl", b'"a"\n"\xe9"\n', "p.jsonl:2: not UTF-8 (byte 2: …); save it as UTF-8"),
    rows("a line of 70 MB", "p.jsonl", None, "p.jsonl:1: the line has more than 67,108,864 bytes; split or remove it",
         long_line),
    rows("a prompt on a hub that cannot be reached, in a plan", "someone/prompts", None, "the prompts of "
         "'someone/prompts' are not on this machine; a plan needs [prompts] per_iteration to count without them"),
    rows("a dataset that no hub has", "someone/prompts", None, "'someone/prompts' is no file here, and as a hub dataset "
         "it cannot be loaded (split 'train'): …. Check the spelling and the network, or download it elsewhere…",
         command="metareward run c.toml", mark="model",
         patch=lambda patch: patch.setenv("HF_HUB_OFFLINE", "1")),
]  # fmt: skip
OBJECT = "; each line must be one JSON object"
ROWS = [
    row("a comma after a row", '{"prompt": "a"},', f"not JSON: Extra data (column 16){OBJECT}, and no comma after it"),
    row("a JSON array in `.jsonl`", "[", "not JSON: … this looks like a JSON array, whose file must end in .json"),
    row("nested too deeply", "[" * 100_000, "not usable JSON: nested too deeply; mend or remove the row"),
    row("a number of 6,000 digits", "9" * 6000, "not usable JSON: Exceeds the limit (4300 digits) for integer string conversion: …; mend or remove the row"),
    row("a name given twice", '{"prompt": "a", "prompt": "b"}', "not usable JSON: 'prompt' is given twice; mend or "
        "remove the row"),
    row("a NUL byte", '{"prompt": "a\0"}', f"not JSON: Invalid control character at (column 14){OBJECT}"),
    row("a number for a row", "3", f"a number is not a prompt; {FORMS}"),
    row("a blank prompt", '{"prompt": " "}', "empty prompt: the user's turn is blank; fill it or remove the row"),
    row("a number for a prompt", '{"prompt": NaN}', "'prompt' must be a text or a list of messages, not a number"),
    row("nothing for a prompt", '{"prompt": null}', "'prompt' must be a text or a list of messages, not nothing"),
    row("another column", '{"question": "a"}', "no column 'prompt', 'messages', 'conversations' or 'instruction'; there is 'question'. "
        "Name yours with [prompts] column."),
    row("500 other columns", json.dumps({f"c{n}": n for n in range(500)}), "… 'c6', 'c7' and 492 more. Name yours with…"),
    row("a column with an escape code for a name", json.dumps({"\x1b[31m": 1}), "… there is '\\x1b[31m'. Name yours…"),
    row("a column that is not there", '{"question": "a"}', "no column 'quetsion'; there is 'question'; did you mean "
        "'question'? Mend column in [prompts].", more='column = "quetsion"\n'),
    row("a prompt and messages that differ", '{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}', "'prompt' and "
        "'messages' hold different prompts; remove one, or name the one that counts with column = 'prompt' in [prompts]"),
    row("a system prompt twice", '{"prompt": "a", "system": "b", "system_prompt": "c"}', "'system_prompt' and the system's "
        "turn that is there already differ; remove one of them"),
    row("a history of another form", '{"instruction": "a", "history": ["b"]}', "history 1 must be two texts, [question, "
        "answer], not 'b'"),
    row("a conversation with tools", '{"messages": [{"role": "tool", "content": "a"}]}', "message 1: a turn of tools "
        "('tool'), which are not supported"),
    row("a picture", '{"messages": [{"role": "user", "content": [{"type": "image"}]}]}', "message 1: a part of type 'image'; "
        "only text is taken"),
    row("a picture beside the prompt", '{"prompt": "a", "image": "a.png"}', "'image' stands beside 'prompt', and only text is "
        "taken; set column = 'prompt' in [prompts] to ask without it"),
    row("messages in Python's own form", '{"messages": "[{\'role\': \'user\'}]"}', "'messages' is a text that begins like a "
        "list of messages and is no JSON; write it with json.dumps, or as a list"),
    rows("only rows that cannot be used", "p.jsonl", '{"prompt": null}\n', "p.jsonl: none of 1 rows can be used; the first: "
         "p.jsonl:1: 'prompt' must be a text or a list of messages, not nothing", more='bad_rows = "skip"\n'),
    row("an unknown role", '{"messages": [{"role": "human", "content": "a"}]}', "message 1: unknown role 'human'; a role "
        "is one of system, user, assistant"),
    row("content of several parts", '{"messages": [{"role": "user", "content": [{"type": "text"}]}]}', "message 1: "
        "'content' must be a text, not a list"),
    row("no turn of the user", '{"messages": [{"role": "system", "content": "a"}]}', "the conversation ends with the "
        "system; a prompt must end in a turn of the user"),
    rows("one object in `.json`", "p.json", '{"prompt": "a"}', "p.json: must be a JSON array of rows, not an object; one "
         "row a line is .jsonl"),
    rows("a comma at the end of an array", "p.json", '["a",\n]', "p.json: not JSON: … (line 2, column 1); the file must "
         "be one array [row, row, ...]; one row a line is .jsonl"),
    rows("equal prompts only", "p.jsonl", '"a"\n' * 50, "…need 2 prompts, and there are 1; lower per_iteration or held_out "
         "in [prompts], or give more prompts (equal ones count once)", more="per_iteration = 2\n"),
    rows("Parquet that is none", "p.parquet", b"junk", "p.parquet: cannot be read as Parquet: …; copy or write it again"),
    parquet("Parquet with a text that is not UTF-8", not_utf8, "p.parquet:1: a text is not UTF-8 (…); mend or remove it"),
    parquet("Parquet with a missing prompt", lambda: pa.table({"prompt": ["a", None]}),
            "p.parquet:2: 'prompt' must be a text or a list of messages, not nothing"),
    parquet("Parquet of 70 MB of one letter", lambda: pa.table({"prompt": ["a" * 70_000_000]}),
            "p.parquet: rows of more than 67,108,864 bytes each (… in 1); split or remove them"),
    parquet("Parquet with bytes for prompts", lambda: pa.table({"prompt": [b"a"]}),
            "p.parquet:1: 'prompt' must be a text or a list of messages, not bytes"),
    parquet("Parquet with a column twice", lambda: pa.Table.from_arrays([pa.array(["a"])] * 2, ["prompt", "prompt"]),
            "p.parquet: two columns are called 'prompt'; rename or remove one"),
]  # fmt: skip
CASES = [*LIKE_A_FILE, *ROWS]


def template(what: str, content: str | bytes, says: str) -> Case:
    toml = "[judge]\ntemplate = 'mine.txt'"
    files = {"c.toml": toml, "mine.txt": content}
    return Case(what, PLAN, f"c.toml: judge.template: {says}", files=files)


def shipped(name: str, says: str) -> Case:
    what = f"`template = '{name}'`"
    return Case(
        what, PLAN, f"c.toml: judge.template: {says}", files={"c.toml": f"[judge]\ntemplate = '{name}'"}
    )


BOTH = "{{ conversation }} {{ response }} "
TEMPLATES = [
    shipped("nothing", "no template named 'nothing' ships with the package; to use a file of your own, give its path"),
    shipped("./none.txt", "cannot read none.txt: there is no such file"),
    template("Latin-1", BOTH.encode() + b"\xe9", "cannot read mine.txt: not UTF-8 (byte 35: …); save it as UTF-8"),
    template("a syntax error", "{{ conversation }", "the template cannot be parsed: unexpected '}' (line 1)"),
    template("an unknown name", BOTH + "{{ rubric }}", "unknown name 'rubric'; a template may use conversation, response"),
    template("a name left out", "{{ response }}", "the template never shows {{ conversation }}; add it"),
    template("a name that is never shown", "{% if false %}" + BOTH + "{% endif %}", "the template never shows {{ "
             "conversation }}; add it"),
    template("an unknown filter", BOTH + "{{ response | shorten }}", "the template cannot be parsed: No filter named…"),
    template("another file included", BOTH + "{% include '/etc/passwd' %}", "the template cannot be filled: no loader "
             "for this environment specified; mend what it computes"),
    template("a way out of the sandbox", BOTH + "{{ response.__class__ }}", "the template cannot be filled: "
             "access to attribute '__class__' of 'str' object is unsafe.; mend what it computes"),
    template("a loop without an end", BOTH + "{% for i in range(99999999999) %}x{% endfor %}", "the template cannot be "
             "filled: Range too big.…"),
    template("a verdict without its scale", BOTH + "Rating: N", "it asks for the line 'Rating' and does not say on what "
             "scale; declare both in a comment at the very beginning of the template, as in {# verdict: Rating, 1 to 10 #}…"),
    template("a scale that cannot be read", "{# verdict: Rating, 1-10 #}" + BOTH, "cannot read the comment "
             "{# verdict: Rating, 1-10 #}; such comments are {# verdict: Rating, 1 to 10 #}, …"),
    template("a scale in another place", BOTH + "{# verdict: Rating, 1 to 10 #}", "a verdict is declared once, in a comment "
             "at the very beginning of the template, as in {# verdict: Rating, 1 to 10 #}…"),
    Case("a scale that is not hidden from the meta-judge", PLAN, "c.toml: meta_judge.show_scores = false must know how scores "
         "are written to hide them: begin meta_judge.template with {# judgments: Rating, 1 to 10 #}, as judge.template declares",
         files={"c.toml": "[judge]\ntemplate = 'm.txt'\n[meta_judge]\nshow_scores = false",
                "m.txt": "{# verdict: Rating, 1 to 10 #}" + BOTH + "Rating: N"}),
    Case("attacks on a scale of one's own", PLAN, "c.toml: attack.enabled: the attacks claim the full marks of the shipped "
         "rubric (Score, 0 to 5), and judge.template declares Rating, 1 to 10; leave the attack out, or judge on the shipped scale",
         files={"c.toml": "[judge]\ntemplate = 'm.txt'\n[attack]\nenabled = true",
                "m.txt": "{# verdict: Rating, 1 to 10 #}" + BOTH + "Rating: N"}),
]  # fmt: skip
