"""Config files that are none."""

import os

from bad_input.case import RUN, Case

PLAN = "metareward plan c.toml"


def text(what: str, content: str | bytes, says: str) -> Case:
    return Case(what, PLAN, says, files={"c.toml": content})


CASES = [
    Case(
        "no such file",
        PLAN,
        "c.toml: there is no such file; examples/ has some configs to start from",
    ),
    Case("a directory", PLAN, "c.toml: is a directory; name a file", make=lambda d: (d / "c.toml").mkdir()),
    Case(
        "a pipe",
        PLAN,
        "c.toml: is a pipe or a device; save what it gives in a file and name that",
        make=lambda d: os.mkfifo(d / "c.toml"),
    ),
    Case(
        "a device without an end",
        "metareward plan /dev/zero",
        "/dev/zero: is a pipe or a device; save what it gives in a file and name that",
    ),
    Case(
        "a link that leads nowhere",
        PLAN,
        "c.toml: is a link that leads nowhere",
        make=lambda d: (d / "c.toml").symlink_to("elsewhere"),
    ),
    Case(
        "a link to itself",
        PLAN,
        "c.toml: cannot be read: Too many levels of symbolic links",
        make=lambda d: (d / "c.toml").symlink_to("c.toml"),
    ),
    Case("a name of 300 letters", f"metareward plan {'x' * 300}", "xxx…: cannot be read: File name too long"),
    Case(
        "a name with an escape code",
        "metareward plan '\x1b[31mred'",
        "\\x1b[31mred: there is no such file; examples/ has some configs to start from",
    ),
    text(
        "more than 64 MB", b"#" * (64 * 2**20 + 1), "c.toml: has more than 67,108,864 bytes; is it the right…"
    ),
    text("UTF-16", RUN.encode("utf-16"), "c.toml: is UTF-16: save it as UTF-8"),
    text(
        "Latin-1",
        "model = 'é'".encode("latin-1"),
        "c.toml: not UTF-8 (byte 10: invalid continuation byte); save it as UTF-8",
    ),
    text("compressed", b"\x1f\x8b\x08\x00", "c.toml: is compressed (gzip): unpack it first"),
    text("JSON", '{"seed": 1}', "c.toml: not TOML: Invalid statement (at line 1, column 1); mend that line"),
    text(
        "YAML",
        "seed: 1",
        "c.toml: not TOML: Expected '=' after a key … (at line 1, column 5); mend that line",
    ),
    text(
        "a key twice",
        "seed = 1\nseed = 2",
        "c.toml: not TOML: Cannot overwrite a value (at …); mend that line",
    ),
    text(
        "a table twice",
        "[judge]\nseed = 1\n[judge]\nsamples = 2",
        "c.toml: not TOML: Cannot declare ('judge',) twice (at line 3, column 7); mend that line",
    ),
    text("nested too deeply", "a = " + "[" * 5000, "c.toml: not TOML that can be read: nested too deeply"),
    text(
        "a number of 5,000 digits",
        f"seed = {'9' * 5000}",
        "c.toml: not TOML: Exceeds the limit (4300 digits) for integer string conversion: …; mend that line",
    ),
    text(
        "an unknown setting",
        "[judge]\nsamplse = 3",
        "c.toml: unknown setting 'samplse' in [judge]; did you mean 'samples'?; known: samples, temperature…",
    ),
    text(
        "an unknown table",
        "[judgee]\nsamples = 3",
        "c.toml: unknown setting 'judgee' at the top level; did you mean 'judge'?; known: recipe, model, seed…",
    ),
    text(
        "a table of another recipe",
        "recipe = 'self_rewarding'\n[meta_judge]\nseed = 1",
        "c.toml: unknown setting 'meta_judge' at the top level; did you mean 'judge'?; known: recipe…",
    ),
    text(
        "a list of tables for a table",
        "[[judge]]\nsamples = 3",
        'c.toml: judge must be a table of settings, [judge], not [{"samples": 3}]',
    ),
    text(
        "a table for a list of tables",
        "[iterations]\nrho = 0.3",
        "c.toml: iterations must be given as [[iterations]] tables, one for each iteration",
    ),
    text(
        "a list of numbers for a list of tables",
        "iterations = [1, 2]",
        "c.toml: iterations[0] must be a table of settings, [iterations[0]], not 1",
    ),
]
