"""Facade: ``rendezvous`` and ``register_rendezvous_handler`` at the path where PyTorch defines them."""

from distrt.comm.rendezvous import register_rendezvous_handler
from distrt.comm.rendezvous import rendezvous_iterator as rendezvous

__all__ = ["register_rendezvous_handler", "rendezvous"]
