"""Questions to a model and its trusted set, asked before anything is judged.

One file a question; each gives findings, none if all is well. `anomech check` asks them all, and
so does an audit.
"""
