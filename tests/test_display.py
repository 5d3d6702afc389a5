"""What models and files say is shown and never obeyed: by terminals, rich, Markdown, readers of JSON."""

import ast
import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import loops
import planted
from hostile import FRAGMENTS, hostile
from metareward import cli
from metareward.cli import render
from metareward.display import code, markdown, one_line, plain
from metareward.engines.fake import Reply
from metareward.errors import StoreError, UserError

NASTY = (
    "[bold red]x[/] \x1b[2J\x1b]8;;file:///etc\x07link\x1b]8;;\x07 "
    "\u202eback\u2066 \x9b31m \ud800 \r\x08 \\[i]"
)
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


@given(st.text(st.characters(codec=None)) | hostile())
def test_plain_text_moves_no_terminal_and_harmless_text_is_left_alone(text):
    shown = plain(text)
    shown.encode()
    assert not UNSAFE.search(shown)
    assert plain(shown) == shown
    if text.isprintable():
        assert shown == text
    assert not UNSAFE.search(one_line(text))
    assert "\n" not in one_line(text)


def test_what_is_hidden_is_written_out():
    assert plain("\x1b[2J\x9b \u202e\u2066\ud800\0\r") == "\\x1b[2J\\x9b \\u202e\\u2066\\ud800\\x00\\r"
    assert plain("a\n\tb") == "a\n\tb"
    assert one_line("a\n\tb") == "a\\n\\tb"
    assert plain("नमस्‌ते 👩‍🔬 é 中文") == "नमस्‌ते 👩‍🔬 é 中文"
    assert plain("x" * 50, limit=10) == "xxxxxxxxxx… (40 more characters)"
    assert plain("\x1b" * 11, limit=10) == "\\x1b" * 10 + "… (1 more characters)"
    assert plain("x" * 10, limit=10) == "x" * 10


@given(hostile() | st.text("<>[]()!*_`#|\\&;:/.@w~a -"))
def test_markdown_shows_the_text_and_nothing_else(text):
    """Read back by a Markdown reader, tables, links and HTML switched on."""
    reader = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    shown = "x" + one_line(text).strip() + "x"
    for written in (markdown(shown), code(shown)):
        html = reader.renderInline(written)
        assert re.sub("</?code>", "", html).count("<") == 0, html
        assert html.removeprefix("<code>")[0] == "x"
    table = reader.render(f"| a | b |\n| --- | --- |\n| {markdown(shown)} | {code(shown)} |\n")
    assert table.count("<td>") == 2


def test_links_and_pictures_stay_text():
    for text in (
        "https://evil.example/x",
        "www.evil.example",
        "[a](http://b)",
        "![](http://b)",
        "<img src=x>",
        "a@b.c",
    ):
        assert "://" not in markdown(text)
        assert not re.search(r"www\.|(?<!\\)\]\(|<|[^\\]@", markdown(text))


# --- the command line ----------------------------------------------------------------------------


def script(request, model):
    """The planted world, in which every text carries what terminals obey."""
    reply = planted.World()(request, model)
    reply = reply if isinstance(reply, Reply) else Reply(reply)
    front = f"{NASTY}\n" if request.step != "generate" else f"{NASTY} "
    return dataclasses.replace(reply, text=front + reply.text)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return loops.loop(tmp_path_factory.mktemp("hostile") / "run", loops.Asked(script))[0]


def command(monkeypatch, capfd, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["metareward", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_show_is_fit_for_a_terminal_and_its_json_is_exact(run, monkeypatch, capfd):
    for row in (*list(run.history.rounds[0].responses)[:2], *list(run.history.rounds[0].judgments)[:1]):
        where = ["--run", str(run.store.root)]
        status, told, _ = command(monkeypatch, capfd, "show", row.id, *where)
        assert status == 0
        assert not UNSAFE.search(told.replace("\r\n", "\n"))
        assert "[bold red]x[/]" in told
        assert "\\x1b[2J" in told
        status, told, _ = command(monkeypatch, capfd, "show", row.id, *where, "--json")
        assert told.isascii()
        assert json.loads(told)["facts"]["text"] == row.text


def test_errors_show_what_they_quote(monkeypatch, capfd, tmp_path):
    for error, expected in ((UserError(NASTY), 2), (StoreError(NASTY), 1)):
        monkeypatch.setattr("metareward.cli.app.app", lambda error=error: (_ for _ in ()).throw(error))
        status, told, said = command(monkeypatch, capfd)
        assert (status, told) == (expected, "")
        assert not UNSAFE.search(said)
        assert "\\x1b[2J" in said


def test_nothing_printed_on_a_screen_moves_it():
    """The last guard, for whoever forgets: texts, tables, trees and styled texts of any command."""
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    from metareward.cli.screen import Screen

    table = Table(title=Text(NASTY))
    table.add_column(Text(NASTY))
    table.add_row(Text(NASTY))
    told = io.StringIO()
    screen = Screen(width=400, file=told, force_terminal=True, color_system=None, highlight=False)
    for shown in (Text(NASTY), Text(NASTY, style="bold red"), table, Tree(Text(NASTY))):
        screen.print(shown)
    assert not UNSAFE.search(told.getvalue())
    assert told.getvalue().count("[bold red]x[/]") == 6
    assert isinstance(render.out, Screen)
    assert isinstance(render.err, Screen)


def test_the_command_line_has_no_other_way_out():
    """No console but the screens, no bare print but of JSON in ASCII."""
    for path in Path(render.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in ("Console", "sys.stdout.write", "sys.stderr.write"), path
            if name == "print":
                assert "json.dumps" in ast.unparse(node), path


def test_events_and_stories_are_shown_plainly(monkeypatch):
    from types import SimpleNamespace

    from rich.console import Console

    from metareward.events import Noticed, StepFinished, StepProgress, StepStarted

    screen = Console(width=500, record=True, force_terminal=True, color_system=None)
    monkeypatch.setattr(render, "out", screen)
    for fragment in (NASTY, *FRAGMENTS):
        with render.progress() as bars:
            for listen in (render._Lines(), bars):
                listen(StepStarted(fragment, fragment, 3, 0))
                listen(StepProgress(fragment, fragment, 1, 3, 5, fragment))
                listen(StepFinished(fragment, fragment, 1, 1.0, False, fragment))
                listen(Noticed(fragment, fragment))
        render.story(SimpleNamespace(title=fragment, facts={fragment: fragment}, children=[]))
    paper = Console(width=500, color_system=None)
    with render.progress() as bars, paper.capture() as drawn:
        bars(StepProgress(NASTY, NASTY, 1, 3, 5, NASTY))
        paper.print(bars._bars.get_renderable())  # type: ignore[attr-defined]
    assert drawn.get().count("[bold red]x[/]") == 3, "section, step and note, none of them as markup"
    said = screen.export_text(styles=False)
    assert said.count("[bold red]x[/]") > 8
    assert not UNSAFE.search(said)
