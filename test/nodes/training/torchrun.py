"""Torchrun. Debian's, of torch 1.13, does not start on Python 3.11, which no longer iterates over a flag that is 0."""
import sys

from torch.distributed.elastic.multiprocessing.api import Std
from torch.distributed.run import main

Std.from_str = classmethod(lambda cls, text: Std.NONE)
sys.exit(main())
