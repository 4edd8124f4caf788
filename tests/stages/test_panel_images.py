"""Which images a qualitative figure shows."""

from pipeline.stages.panels import draw_with_objects


class Archive:
    ids = tuple(f"patient{number // 10}-{number}" for number in range(60))

    def classes_in(self, image_id):
        return [0, 1] if int(image_id.split("-")[1]) % 2 else [0]


def test_images_are_drawn_at_random_among_those_with_objects():
    chosen = draw_with_objects(Archive(), 4, seed=0)
    assert len(set(chosen)) == 4
    assert all(any(Archive().classes_in(image_id)) for image_id in chosen)
    assert len({image_id.split("-")[0] for image_id in chosen}) > 1
    assert chosen == draw_with_objects(Archive(), 4, seed=0) != draw_with_objects(Archive(), 4, seed=1)


def test_fewer_images_with_objects_than_asked_for_are_all_shown():
    assert len(draw_with_objects(Archive(), 99, seed=0)) == 30
