"""Suites, training, evaluation and reports of generative autoencoders."""

from ..models.moved import keep_old_names

keep_old_names(
    __name__,
    {"data": "data_", "files": "", "records": "", "suites": ""},
    {"content": "data.source"},
)
