"""Texts as sequences of symbols: grammars, characters, their masks, parsing and decoding."""
