"""Rows of prompts as they lie in files and datasets, each with its place; nothing of them is believed yet."""

from metareward.rows.base import BadRow as BadRow
from metareward.rows.base import Row as Row
from metareward.rows.base import kind as kind
from metareward.rows.source import SHIPPED as SHIPPED
from metareward.rows.source import at_hand as at_hand
from metareward.rows.source import rows_of as rows_of
