import argparse

import pytest
from aebench.bench.cli import data as command_data
from aebench.bench.data.dataset import DATASETS
from aebench.bench.errors import RunFailed, UserError
from aebench.models.registry import UnknownName

pytestmark = pytest.mark.usefixtures("root")


def call(*arguments):
    parser = argparse.ArgumentParser()
    command_data.add_parser(parser.add_subparsers())
    return command_data.run(parser.parse_args(["data", *arguments]))


def test_every_data_set_has_a_row_with_its_state(capsys):
    assert call() == 0
    lines = capsys.readouterr().out.splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines[1:-1]}
    assert set(states) == {name for name in DATASETS.names() if ":" not in name}
    assert states["digits"] == states["fashion-mini"] == "whole"
    assert states["cifar10"] == "missing"
    assert any("aebench data cifar10 --download" in line for line in lines)
    assert lines[-1].startswith("looked in: ")


def test_one_data_set_has_its_row_alone(capsys, root):
    assert call("mnist") == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 3
    assert str(root) in out
    assert "fashion" not in out.splitlines()[1]


def test_a_broken_data_set_says_what_is_wrong_and_ends_with_2(capsys, root):
    (root / "mnist").mkdir()
    assert call("mnist") == 2
    row = capsys.readouterr().out.splitlines()[1]
    assert "broken" in row
    assert "lacks train-images-idx3-ubyte.gz and 3 more" in row


def test_a_download_of_everything_is_refused():
    with pytest.raises(UserError, match="'--download' needs a data set, such as: aebench data"):
        call("--download")


def test_a_set_without_a_download_says_how_to_get_it():
    with pytest.raises(UserError, match=r"'imagenet-32' has no download\. .*image-net\.org"):
        call("imagenet-32", "--download")


def test_a_download_of_a_whole_set_does_nothing(capsys):
    assert call("digits", "--download") == 0
    assert "whole" in capsys.readouterr().out


def test_a_download_without_network_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("torchvision.datasets.MNIST", refuse)
    with pytest.raises(RunFailed, match=r"^The download of 'mnist' failed: Network is unreach"):
        call("mnist", "--download")


def test_an_unknown_data_set_gets_the_near_match():
    with pytest.raises(UnknownName, match="Did you mean 'digits'"):
        call("digit")
