"""A network as a program: its operators, fused where there are kernels."""

from seviz.collect.fast.program.fusing import can_fuse
from seviz.collect.fast.program.nodes import NotAProgramError
from seviz.collect.fast.program.running import Program

__all__ = ["NotAProgramError", "Program", "can_fuse"]
