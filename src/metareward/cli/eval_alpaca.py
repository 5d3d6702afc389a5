"""`metareward eval alpaca-eval`: AlpacaEval 2, from annotations or by asking a judge."""

from metareward.cli.eval import eval_app


@eval_app.command("alpaca-eval")
def alpaca_eval() -> None:
    """AlpacaEval 2: win rate and length-controlled win rate against a baseline."""
    raise SystemExit
