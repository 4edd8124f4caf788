"""Batches: every image once per epoch, a new order each time, and the same from any starting point."""

from pipeline.training.seeding import BatchPlan, derive_seed

PLAN = BatchPlan(num_images=10, batch_size=3, epochs=4, seed=5)


def test_each_epoch_shows_no_image_twice():
    batches = list(PLAN)
    for epoch in range(4):
        shown = [index for batch in batches[3 * epoch : 3 * epoch + 3] for index, _ in batch]
        assert len(shown) == len(set(shown)) == 9


def test_epochs_differ_in_order():
    batches = list(PLAN)
    assert batches[:3] != batches[3:6]


def test_resumed_plan_is_the_rest_of_the_whole():
    whole = list(PLAN)
    for step in range(13):
        assert list(BatchPlan(10, 3, 4, 5, start_step=step)) == whole[step:]


def test_length_is_the_number_of_batches_left():
    assert len(BatchPlan(10, 3, 4, 5, start_step=5)) == 7


def test_augmentation_seed_changes_from_epoch_to_epoch():
    seeds = {seed for batch in PLAN for _, seed in batch}
    assert len(seeds) == 36


def test_set_smaller_than_a_batch_is_one_batch():
    assert [len(batch) for batch in BatchPlan(2, 8, 3, 0)] == [2, 2, 2]


def test_seeds_depend_on_every_part():
    assert len({derive_seed(0, 1), derive_seed(1, 0), derive_seed("0", 1), derive_seed(0, 1, 2)}) == 4
