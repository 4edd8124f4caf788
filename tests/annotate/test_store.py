"""The annotation file while people work: nothing is lost, whatever happens in between."""

import dataclasses
import multiprocessing
import os
import threading

import pytest

from pipeline.annotate import store as store_module
from pipeline.annotate.store import HEADER, AnnotationStore
from pipeline.targets.annotations import Annotation, format_rows, read_annotations


def row(image_id="a", size=0.25, who="Ada"):
    return Annotation(image_id, "cat", size, 1.0, "5x4", who, "2025-01-31T12:00:00Z", "cells")


def images(store):
    return [one.image_id for one in store.rows]


def append_many(path, who, count):
    store = AnnotationStore(path)
    for number in range(count):
        store.append([row(f"{number}", who=who)])


def test_rows_are_in_the_file_when_append_returns(tmp_path):
    AnnotationStore(tmp_path / "new" / "s.csv").append([row(), row("b")])
    assert (tmp_path / "new" / "s.csv").read_text() == HEADER + format_rows([row(), row("b")])


def test_rows_reach_the_disk_before_append_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(store_module.os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    AnnotationStore(tmp_path / "s.csv").append([row()])
    assert len(HEADER + format_rows([row()])) in synced


def test_existing_answers_are_continued(tmp_path):
    AnnotationStore(tmp_path / "s.csv").append([row()])
    again = AnnotationStore(tmp_path / "s.csv")
    again.append([row("b")])
    assert images(again) == ["a", "b"]
    assert again.answer("Ada", "a").complete


def test_rows_of_another_store_are_seen(tmp_path):
    first, second = AnnotationStore(tmp_path / "s.csv"), AnnotationStore(tmp_path / "s.csv")
    second.append([row("b", who="Bo")])
    first.append([row("a")])
    second.refresh()
    assert images(first) == images(second) == ["b", "a"]
    assert first.annotators() == ["Bo", "Ada"]


def test_a_line_from_before_leaves_what_stood(tmp_path):
    store = AnnotationStore(tmp_path / "s.csv")
    store.append([row("a")])
    with (tmp_path / "s.csv").open("a") as file:
        file.write(format_rows([dataclasses.replace(row("b"), timestamp="2024-01-31T12:00:00Z")]))
    store.refresh()
    assert store.answer("Ada", "a").complete
    assert store.answer("Ada", "b").complete


def test_two_processes_lose_no_row(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_many, args=(tmp_path / "s.csv", who, 40)) for who in ("Ada", "Bo")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    rows, damaged = read_annotations(tmp_path / "s.csv")
    assert damaged == []
    for who in ("Ada", "Bo"):
        assert [one.image_id for one in rows if one.annotator == who] == [str(number) for number in range(40)]


@pytest.mark.parametrize("kept", [1, 5, 20, -3])
def test_damaged_last_line_is_moved_aside_and_work_goes_on(tmp_path, kept):
    path = tmp_path / "s.csv"
    AnnotationStore(path).append([row(), row("b")])
    whole = path.read_text()
    start = whole.index("\nb,") + 1
    cut = whole[start:][:kept]
    path.write_text(whole[:start] + cut)
    store = AnnotationStore(path)
    store.append([row("c")])
    assert store.aside.read_text() == cut + "\n"
    assert path.read_text() == whole[:start] + format_rows([row("c")])
    assert "line 3" in store.damaged[0]


def test_last_line_that_lacks_its_line_break_alone_is_kept(tmp_path):
    path = tmp_path / "s.csv"
    AnnotationStore(path).append([row(), row("b")])
    path.write_bytes(path.read_bytes()[:-1])
    store = AnnotationStore(path)
    store.append([row("c")])
    assert images(AnnotationStore(path)) == images(store) == ["a", "b", "c"]
    assert store.damaged == []


def test_rows_moved_by_a_spreadsheet_count_by_their_time(tmp_path):
    path = tmp_path / "s.csv"
    store = AnnotationStore(path)
    for size in (0.5, 0.1):
        with store.transaction():
            store.append([dataclasses.replace(row(size=size), timestamp=store.timestamp())])
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[::-1]]) + "\n")
    assert AnnotationStore(path).answer("Ada", "a").total == 0.1


def test_timestamps_grow_though_the_clock_goes_back(tmp_path):
    path = tmp_path / "s.csv"
    AnnotationStore(path).append([dataclasses.replace(row(), timestamp="2200-01-01T00:00:00Z")])
    store = AnnotationStore(path)
    with store.transaction():
        assert [store.timestamp(), store.timestamp()] == ["2200-01-01T00:00:00.000001Z", "2200-01-01T00:00:00.000002Z"]


def test_others_wait_until_a_transaction_has_ended(tmp_path):
    first, second = AnnotationStore(tmp_path / "s.csv"), AnnotationStore(tmp_path / "s.csv")
    with first.transaction():
        waiting = threading.Thread(target=second.append, args=([row("b")],))
        waiting.start()
        waiting.join(0.2)
        first.append([row("a")])
    waiting.join(30)
    assert images(AnnotationStore(tmp_path / "s.csv")) == ["a", "b"]


def test_line_damaged_while_the_tool_runs_is_moved_aside_too(tmp_path):
    store = AnnotationStore(tmp_path / "s.csv")
    store.append([row()])
    with (tmp_path / "s.csv").open("a") as file:
        file.write("b,ca")
    store.append([row("c")])
    assert images(AnnotationStore(tmp_path / "s.csv")) == images(store) == ["a", "c"]
    assert "line 3" in store.damaged[0]


def test_header_cut_off_by_a_crash_is_written_anew(tmp_path):
    (tmp_path / "s.csv").write_text(HEADER[:10])
    AnnotationStore(tmp_path / "s.csv").append([row()])
    assert (tmp_path / "s.csv").read_text() == HEADER + format_rows([row()])


def test_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    store = AnnotationStore(tmp_path / "s.csv")
    store.append([row()])
    before = (tmp_path / "s.csv").read_bytes()

    def full(handle, content):
        os.write(handle, content[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "_write", full)
    with pytest.raises(OSError, match=r"No space left on device.*not saved"):
        store.append([row("b")])
    assert (tmp_path / "s.csv").read_bytes() == before
    assert images(store) == ["a"]


def test_replaced_file_is_read_from_the_start(tmp_path):
    store = AnnotationStore(tmp_path / "s.csv")
    store.append([row("a"), row("b")])
    (tmp_path / "other.csv").write_text(HEADER + format_rows([row(name) for name in "vwxyz"]))
    os.replace(tmp_path / "other.csv", tmp_path / "s.csv")
    store.refresh()
    assert images(store) == list("vwxyz")


def test_shortened_file_is_read_from_the_start(tmp_path):
    store = AnnotationStore(tmp_path / "s.csv")
    store.append([row("a"), row("b")])
    (tmp_path / "s.csv").write_text(HEADER + format_rows([row("z")]))
    store.refresh()
    assert images(store) == ["z"]


def test_other_file_is_refused_and_untouched(tmp_path):
    (tmp_path / "s.csv").write_text("id,value\n1,2\n")
    with pytest.raises(ValueError, match="line 1: expected the header"):
        AnnotationStore(tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "id,value\n1,2\n"


def test_reading_makes_no_file(tmp_path):
    AnnotationStore(tmp_path / "s.csv")
    assert list(tmp_path.iterdir()) == []
