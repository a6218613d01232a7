"""What the training programs share: the diary that the test reads, and checkpoints."""
import os
import socket
import time

DIR = os.environ["JOBKIT_DIR"]
STEPS = int(os.environ["JOBKIT_STEPS"])
PAUSE = float(os.environ["JOBKIT_PAUSE"].removesuffix("ms")) / 1000
# Data come in so many parts, however many processes share them. So what they learn does not
# depend on the number of processes, as long as each has as many parts as the others.
PARTS = 6


def note(rank, word, number, *more):
    """Writes a line of the diary, as ../program does."""
    line = " ".join(str(x) for x in (int(time.time() * 1000), rank, word, number, *more))
    print(line, flush=True)
    with open(f"{DIR}/{socket.gethostname()}.log", "a", encoding="utf-8") as diary:
        diary.write(line + "\n")


def step(rank, number, processes, loss):
    """Reports a step, with the loss to the last bit, and waits: a little, and at the last one that the test allows."""
    note(rank, "step", number, processes, float(loss).hex())
    time.sleep(PAUSE)
    while limit() <= number < STEPS:
        time.sleep(PAUSE)


def limit():
    try:
        with open(f"{DIR}/limit", encoding="utf-8") as allowed:
            return int(allowed.read())
    except FileNotFoundError:
        return STEPS


def checkpoint(name):
    """The path of a checkpoint, and whether there is one."""
    path = f"{DIR}/{name}"
    return path, os.path.exists(path)


def save(path, write):
    """Writes a checkpoint, whole or not at all."""
    new = f"{DIR}/new-{os.path.basename(path)}"
    write(new)
    os.replace(new, path)


def due(number):
    """Whether a step has a checkpoint. Those after it are repeated if the job fails."""
    return number % 5 == 0
