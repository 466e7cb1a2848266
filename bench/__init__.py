"""Suites, training, evaluation and reports of generative autoencoders."""

import sys

from ..models.moved import Moved

# Last, so that nothing that exists is hidden.
sys.meta_path.append(
    Moved(
        __name__,
        {"data": "data_", "files": "", "records": "", "suites": ""},
        {"content": "data.source"},
    )
)
