"""Strategies of hypothesis that damage what was right: bytes of a file, and values in a tree of JSON or YAML."""

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_subnormal=False),
    st.sampled_from([10**400, -(10**30), 1e308, 5e-324, float("inf"), float("nan")]),
)
NAMES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "-b", "a ", "CON", "..", "../x", "5²", "Ku\u0308he", "K\u00fche", "=1+1", "a\nb", "a\0b", "\ud800", "x" * 400]
    ),
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)


@st.composite
def damaged_bytes(draw, content):
    """Return `content` with a few places cut out, overwritten or doubled, or in another encoding, or with other line ends."""
    kind = draw(
        st.sampled_from(["cut", "place", "place", "place", "bom", "utf-16", "latin-1", "crlf", "cr", "semicolons", "tabs"])
    )
    text = content.decode()
    whole = {
        "bom": lambda: b"\xef\xbb\xbf" + content,
        "utf-16": lambda: text.encode("utf-16"),
        "latin-1": lambda: text.encode("latin-1", "replace"),
        "crlf": lambda: content.replace(b"\n", b"\r\n"),
        "cr": lambda: content.replace(b"\n", b"\r"),
        "semicolons": lambda: content.replace(b",", b";"),
        "tabs": lambda: content.replace(b",", b"\t"),
        "cut": lambda: content[: draw(st.integers(0, len(content)))],
    }
    if kind in whole:
        return whole[kind]()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = start + draw(st.integers(0, 9))
        put = draw(st.one_of(st.binary(max_size=5), st.just(content[start : stop + 20])))
        content = content[:start] + put + content[stop:]
    return content


def places(tree, above=()):
    """Yield the path of every node of a tree of dictionaries and lists."""
    yield above
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, inner in items:
        yield from places(inner, (*above, key))


def changed(tree, path, action, junk):
    """Return a copy of a tree with the node at `path` replaced by `junk`, removed, or with `junk` beside it."""
    if not path:
        return junk
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(path) > 1:
        copy[path[0]] = changed(copy[path[0]], path[1:], action, junk)
    elif action == "remove":
        del copy[path[0]]
    elif action == "add" and isinstance(copy, dict):
        copy[f"{path[0]}x"] = junk
    else:
        copy[path[0]] = junk
    return copy


@st.composite
def damaged_tree(draw, tree):
    """Return a tree with one to three of its nodes changed."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(tree))))
        tree = changed(tree, path, draw(st.sampled_from(["put", "put", "remove", "add"])), draw(JUNK))
        if not isinstance(tree, dict):
            break
    return tree


def outcome(call, *errors):
    """Return what a call returns, and None; or None, and the message of one of the errors that people are meant to read."""
    try:
        return call(), None
    except errors as error:
        return None, str(error)
