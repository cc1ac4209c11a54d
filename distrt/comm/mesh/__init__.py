"""Device meshes: the ranks of a job as an array with named dims."""

from distrt.core.tensors import methods as _methods  # noqa: F401 - a mesh hands out tensors, which have their methods
