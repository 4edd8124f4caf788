import pytest
import torch

from pipeline.stages.device import select_device


@pytest.fixture(autouse=True)
def threads():
    """Leave their number as it was: it holds for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_cpu_works_with_one_thread_and_takes_tiny_numbers_for_0():
    torch.set_flush_denormal(False)
    tiny = torch.tensor([1e-39])
    assert (tiny * 0.5).item() > 0
    assert select_device("cpu") == torch.device("cpu")
    assert torch.get_num_threads() == 1
    assert (tiny * 0.5).item() == 0


def test_a_gpu_that_is_not_there_is_missed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto").type == "cpu"
    with pytest.raises(OSError, match="device: cuda, and no GPU is available; set device: auto or cpu"):
        select_device("cuda")
