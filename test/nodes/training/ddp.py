"""Data-parallel training with torch: DistributedDataParallel over gloo, started as it is or by torchrun."""
from datetime import timedelta

import torch
import torch.distributed as dist

import job

torch.set_num_threads(1)
dist.init_process_group("gloo", timeout=timedelta(seconds=120))
rank, processes = dist.get_rank(), dist.get_world_size()
job.note(rank, "start", 0)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
parallel = torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01, momentum=0.9)
done = 0
path, found = job.checkpoint("checkpoint.pt")
if found:
    state = torch.load(path)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    done = state["done"]


def batch(number):
    """What this process learns from in a step."""
    parts = []
    for part in range(rank, job.PARTS, processes):
        generator = torch.Generator().manual_seed(number * job.PARTS + part)
        parts.append(torch.randn(16, 8, generator=generator, dtype=torch.double))
    x = torch.cat(parts)
    return x, x.sum(dim=1, keepdim=True).sin()


while done < job.STEPS:
    x, y = batch(done)
    loss = ((parallel(x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    done += 1
    total = loss.detach().clone()
    dist.all_reduce(total)
    if rank == 0 and job.due(done):
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "done": done}
        job.save(path, lambda file: torch.save(state, file))
    job.step(rank, done, processes, total.item() / processes)
job.note(rank, "done", done)
