"""Rows about two images, such as NLVR2's, in shards that are read as a stream: the second image, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from datasets_vl.image_table import ImageTable, find_second_images
from datasets_vl.shard_folder import ShardFolder
from processing_vl.region_features import RegionFeatures

SecondImages = Mapping[str, RegionFeatures]
"""Images by id."""


class PairedImages:
    """The images of a folder, each with the second images of its rows.

    Most pairs lie side by side in their shards, and are read together. A second image that lies elsewhere costs the
    row group it is in, and all of a piece that lie in the same one, cost that once. Where no row has a second image,
    nothing is read or kept beyond what `ShardFolder` does.

    Args:
        folder: The shards. Their ids are read where a row has a second image.
        table: The rows.

    Raises:
        ValueError: If a second image is not in the folder.
    """

    def __init__(self, folder: ShardFolder, table: ImageTable) -> None:
        self._folder = folder
        self._table = table
        if len(table.second_images):
            find_second_images(folder.source, folder.image_ids, table)

    def read(self, pieces: Iterable[Sequence[int]]) -> Iterator[tuple[int, RegionFeatures, SecondImages]]:
        """Reads images piece after piece.

        Args:
            pieces: Numbers of images, ascending in a piece. Of a piece whose rows have second images, all is in
                memory at once.

        Yields:
            The number, the image, and the second images of its rows.
        """
        for piece in pieces:
            if len(self._table.second_images):
                yield from self._read_together(piece)
            else:
                for row, image in self._folder.read(piece):
                    yield row, image, {}

    def _read_together(self, piece: Sequence[int]) -> Iterator[tuple[int, RegionFeatures, SecondImages]]:
        images = dict(self._folder.read(piece))
        wanted = {image.image_id: self._second_images_of(image.image_id) for image in images.values()}
        known = {image.image_id: image for image in images.values()}
        elsewhere = {name for names in wanted.values() for name in names} - known.keys()
        rows = sorted(self._folder.image_ids.find(name) for name in elsewhere)
        known |= {image.image_id: image for _, image in self._folder.read(rows)}
        for row, image in images.items():
            yield row, image, {name: known[name] for name in wanted[image.image_id]}

    def _second_images_of(self, image_id: str) -> set[str]:
        names = map(self._table.second_image_of, self._table.rows_of(image_id))
        return {name for name in names if name is not None}
