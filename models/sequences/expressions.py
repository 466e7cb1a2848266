"""Arithmetic expressions in one variable."""

from __future__ import annotations

from .task import Task

EXPRESSIONS = Task(
    name="expressions",
    grammar="""
S -> S '+' T | S '*' T | S '/' T | T
T -> '(' S ')' | 'sin(' S ')' | 'exp(' S ')' | 'x' | '1' | '2' | '3'
""",
    rules=15,
    alphabet="x+()123*/sinep ",
    characters=19,
)
