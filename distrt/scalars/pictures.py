"""The methods of ``SummaryWriter`` for what is looked at or listened to."""

from __future__ import annotations

from typing import Any

from distrt.scalars.messages import array_of, mesh, sound

__all__ = ["PictureWriter"]


class PictureWriter:
    """Images, figures, videos, sounds and meshes."""

    def _open(self) -> Any:
        raise NotImplementedError

    def _add(self, message: Any, step: Any, walltime: float | None) -> None:
        raise NotImplementedError

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds an image: floats from 0 to 1, or bytes; needs Pillow."""
        self._open().add_image(tag, array_of(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds several images."""
        self._open().add_images(tag, array_of(img_tensor), global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """Adds an image with boxes (left, top, right, bottom) drawn into it."""
        arrays = array_of(img_tensor), array_of(box_tensor)
        self._open().add_image_with_boxes(
            tag, *arrays, global_step, walltime, dataformats, labels, rescale=rescale
        )

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Adds a figure of Matplotlib, or several."""
        self._open().add_figure(tag, figure, global_step, close, walltime)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Adds videos, (N, T, C, H, W); needs moviepy."""
        self._open().add_video(tag, array_of(vid_tensor), global_step, fps, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Adds a sound, (1, L), values from -1 to 1."""
        self._add(sound(tag, array_of(snd_tensor), sample_rate), global_step, walltime)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Any = None,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds points of space, and triangles between them.

        Args:
            tag: its name.
            vertices: (B, N, 3).
            colors: (B, N, 3), from 0 to 255.
            faces: (B, M, 3), numbers of vertices.
            config_dict: settings of ThreeJS.
            global_step: where it stands.
            walltime: seconds since 1970, where not now.

        Raises:
            ValueError: vertices of another shape.
        """
        shape = tuple(vertices.shape)
        if len(shape) != 3 or shape[2] != 3:
            raise ValueError(f"Tensor shape should be of shape BxNx3, but got {vertices.shape}.")
        points, colours, triangles = (
            None if each is None else array_of(each) for each in (vertices, colors, faces)
        )
        self._add(mesh(tag, points, colours, triangles, config_dict), global_step, walltime)
