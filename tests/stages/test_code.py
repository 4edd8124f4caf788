"""The code digest: changes with behaviour, not with words."""

from pipeline.stages.code import code_digest

SOURCE = '''"""Module."""

def f(x):
    """Double."""
    # twice
    return 2 * x
'''


def test_comments_and_docstrings_do_not_count():
    assert code_digest(SOURCE) == code_digest("def f(x):\n    return 2 * x\n")


def test_code_counts():
    assert code_digest(SOURCE) != code_digest(SOURCE.replace("2 * x", "3 * x"))


def test_function_that_is_only_a_docstring_is_valid():
    assert code_digest('def f():\n    """Nothing."""\n') == code_digest("def f():\n    pass\n")
