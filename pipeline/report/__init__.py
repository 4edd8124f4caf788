"""From tracked numbers to figures and tables: style, published numbers, one file per artifact.

Each `fig_<id>.py` offers `compute` (the plotted numbers, a long table with a `series` column) and `draw` (a matplotlib figure)
or `tabulate` (a table). Metrics come in as fractions and are multiplied by 100 here and nowhere else.
"""
