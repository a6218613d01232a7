"""Data-parallel training with MPI: a linear model, whose gradients are summed by Allreduce."""
import numpy
from mpi4py import MPI

import job

processes, rank = MPI.COMM_WORLD.Get_size(), MPI.COMM_WORLD.Get_rank()
job.note(rank, "start", 0)
done, weights = 0, numpy.zeros(8)
path, found = job.checkpoint("checkpoint.npz")
if found:
    with numpy.load(path) as state:
        done, weights = int(state["done"]), state["weights"]


while done < job.STEPS:
    own = numpy.zeros(9)  # gradient and loss
    for part in range(rank, job.PARTS, processes):
        x = numpy.random.default_rng(done * job.PARTS + part).standard_normal((16, 8))
        error = x @ weights - numpy.sin(x.sum(axis=1))
        own += numpy.append(x.T @ error, error @ error)
    total = numpy.empty(9)
    MPI.COMM_WORLD.Allreduce(own, total)
    total /= 16 * job.PARTS
    weights = weights - 0.05 * total[:8]
    done += 1
    if rank == 0 and job.due(done):
        job.save(path, lambda file: numpy.savez(file, done=done, weights=weights))
    job.step(rank, done, processes, total[8])
job.note(rank, "done", done)
