"""The annotation tool: a local web page on which people say how large each object is, or draw scribbles.

`python -m pipeline.annotate` opens the page and appends every size ([SIZE] section 3.4) and every stroke ([SSL]) to a file;
`python -m pipeline.annotate.export` checks these files and makes supervision of them. Their meaning is in
`pipeline.targets.annotations` and `pipeline.targets.strokes`.
"""
