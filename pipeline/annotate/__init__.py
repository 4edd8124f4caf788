"""The annotation tool of [SIZE] section 3.4: a local web page on which people say how large each object is.

`python -m pipeline.annotate` opens the page and appends every answer to a CSV file; `python -m pipeline.annotate.export` checks
that file and makes a table of size targets of it. The file and its meaning are in `pipeline.targets.annotations`.
"""
