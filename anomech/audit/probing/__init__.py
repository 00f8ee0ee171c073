"""Questions to a model and its trusted set, asked before anything is judged.

One file a question; each gives findings, none if all is well. `anomech check` asks them all, and
so does an audit. Findings whose code is in `NO_VERDICTS` leave nothing that verdicts could rest on.
"""

NO_VERDICTS = frozenset({"class-order", "answers-vary", "answers-depend-on-others", "no-response"})
"""Codes of findings with which every verdict is inconclusive."""
