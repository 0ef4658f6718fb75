"""`plot.costs`: bars for what there is of each run."""

import pytest

plot = pytest.importorskip("snnlearn.plot")
pytest.importorskip("matplotlib")


def of(acs, macs=0, learning=None):
    found = {"synaptic_operations": {"Effective_ACs": acs, "Effective_MACs": macs, "Dense": 1e6}}
    return found if learning is None else found | {"learning": {"operations": learning}}


def test_costs_of_several_runs():
    ax = plot.costs({"dense": of(1e4, learning=1e7), "sparse": of(1e3)})
    heights = [bar.get_height() for bars in ax.containers for bar in bars]
    assert [h for h in heights if h == h] == [1e4, 1e3, 1e6, 1e6, 1e7] and ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["dense", "sparse"]
    assert len(plot.costs({"analog": of(0, 5.0)}).containers) == 2
    ax.figure.canvas.draw()


def test_nothing_to_draw():
    with pytest.raises(ValueError, match=r"plot\.costs\.runs must hold at least one run"):
        plot.costs({})
