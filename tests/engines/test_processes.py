"""What only the processes engine promises: nothing is left behind, whatever happens."""

from multiprocessing import active_children

import engine_work as work
import torch

from anomech.engines._parcels import pack, pack_job, unpack
from anomech.engines.processes import Processes, _Crew


def test_no_process_is_left_behind():
    results = Processes(workers=2).map(work.double, 1, range(50))
    assert next(results) == 0
    assert active_children()
    results.close()
    assert active_children() == []
    assert list(Processes(workers=2).map(work.double, 1, range(3))) == [0, 1, 2]
    assert active_children() == []


def test_few_pieces_start_few_workers():
    crew = _Crew(pack_job(work.double, 2), size=8, retries=0)
    crew.waiting.append((0, pack(5, "a piece")))
    try:
        while not crew.done:
            crew.turn(wait=True)
            assert len(crew.workers) == 1
    finally:
        crew.end()


def test_memory_that_tensors_share_goes_once_and_stays_shared():
    base = torch.randn(50_000)
    packed = pack({"model": base, "twin": base.detach(), "view": base[10:20]}, "tensors")
    assert len(packed) < 1.1 * base.nbytes
    found = unpack(packed)
    assert torch.equal(found["twin"], base)
    assert found["model"].data_ptr() == found["twin"].data_ptr()
