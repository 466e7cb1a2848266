"""Options of an objective that cannot be used are one line, before the first step."""

from __future__ import annotations

import pytest
from aebench.models.building import build

pytestmark = pytest.mark.sensitive
LOGIT = 'objective = "vae"\nspace = "logit"\noptions = {{{}}}'
REFUSED = [
    (LOGIT.format("epsilon = true"), "'options.epsilon' is True; expected a number"),
    (LOGIT.format("flow_layers = 2.0"), "'options.flow_layers' is 2.0; expected a whole number"),
    (LOGIT.format("samples = true"), "'options.samples' is True; expected a whole number"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED)
def test_an_option_that_cannot_be_used_is_one_line(given, told, suite_file, aebench):
    code, said = aebench(suite_file(('objective = ["ae", "vae"]', given)), "--dry-run")
    assert code == 2 and told in said and said.count("\n") == 1


def test_a_whole_number_stands_for_a_number_in_each_space(suite_file, aebench):
    given = ('objective = ["ae", "vae"]', LOGIT.format("decoder_rho = 1, epsilon = 0"))
    code, said = aebench(suite_file(given), "--dry-run")
    assert code == 0, said
    sizes = {"backbone": "tiny", "image_shape": (1, 8, 8), "latent_dim": 2, "space": "logit"}
    whole, real = (build("vae", **sizes, decoder_rho=rho).decoder_rho for rho in (1, 1.0))
    assert whole.dtype == real.dtype and bool((whole == real).all())
