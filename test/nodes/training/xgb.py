"""Data-parallel training with XGBoost: trees whose histograms are summed by its collective, with a tracker in rank 0."""
import os
import socket
import time

import numpy
import xgboost
from xgboost import collective
from xgboost.tracker import RabitTracker

import job

rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


def resolve():
    """Waits for the name of the tracker, which nothing else here does."""
    for _ in range(300):
        try:
            return socket.gethostbyname(host)
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"cannot resolve {host}")


if rank == 0:
    tracker = RabitTracker("0.0.0.0", processes, port, sortby="task")
    tracker.start(processes)
collective.init(DMLC_TRACKER_URI=resolve(), DMLC_TRACKER_PORT=port, DMLC_TASK_ID=f"{rank:03}", DMLC_WORKER_CONNECT_RETRY=20)
if (collective.get_rank(), collective.get_world_size()) != (rank, processes):
    raise RuntimeError(f"the tracker makes rank {rank} of {processes} {collective.get_rank()} of {collective.get_world_size()}")
job.note(rank, "start", 0)

random = numpy.random.default_rng(rank)
x = random.standard_normal((500, 4))
data = xgboost.DMatrix(x, numpy.sin(x.sum(axis=1)) > 0)
path, found = job.checkpoint("checkpoint.ubj")
before = xgboost.Booster(model_file=path) if found else None


class Diary(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        done = model.num_boosted_rounds()
        if rank == 0 and job.due(done):
            job.save(path, lambda file: model.save_model(file))
        job.step(rank, done, processes, evals_log["train"]["logloss"][-1])
        return False


model = xgboost.train(
    {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 3, "eta": 0.1, "nthread": 1}, data,
    job.STEPS - (before.num_boosted_rounds() if found else 0), evals=[(data, "train")], verbose_eval=False,
    xgb_model=before, callbacks=[Diary()],
)
job.note(rank, "done", model.num_boosted_rounds())
collective.finalize()
if rank == 0:
    tracker.join()
