"""Batches that shrink when a GPU's memory does not hold them."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from ...schemas.errors import BadInputError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class ShrinkingBatches(Generic[_Item, _Result]):
    """Runs a network over batches. One that does not fit is halved, and so are all that follow; the log says so.

    Args:
        run: Gives the results of a batch, one an item.
        size: Items in a batch.
        doing: What is done, for messages, for example "captioning".
    """

    def __init__(self, run: Callable[[Sequence[_Item]], Sequence[_Result]], size: int, doing: str) -> None:
        self.size = size
        self._run = run
        self._doing = doing

    def __call__(self, items: Sequence[_Item]) -> list[_Result]:
        """Results of all items, in their order.

        Raises:
            BadInputError: Memory does not hold even one item.
        """
        results: list[_Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results += self._run(batch)
                continue
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise BadInputError(
                        f"The GPU has no memory for {self._doing} a single item; free some, or pass --device cpu."
                    ) from error
                self.size = len(batch) // 2
            # Out of the except clause the failed batch's tensors are gone, so that this frees them.
            torch.cuda.empty_cache()
            _log.warning("Out of GPU memory while %s: going on with batches of %d.", self._doing, self.size)
        return results
