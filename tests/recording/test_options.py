"""What a recorder can be asked for is one list: `RecorderOptions`."""

import inspect

import pytest
from numpy.testing import assert_array_equal

import snnlearn as sl
from snnlearn.recording import Recorder
from snnlearn.recording.options import FIELDS, NEURONS, OF_FILES, OPTIONS, RecorderKeywords, RecorderOptions


def test_options_are_one_list():
    assert tuple(RecorderKeywords.__annotations__) == tuple(FIELDS)
    assert {*OPTIONS, *NEURONS, "variables", "overwrite"} == set(FIELDS)
    for cls, left_out in ((Recorder, ()), (sl.MemoryRecorder, OF_FILES)):
        parameters = inspect.signature(cls).parameters
        assert [name for name in parameters if name != "path"] == [name for name in FIELDS if name not in left_out]
        for name, field in FIELDS.items():
            if name not in left_out:
                assert parameters[name].default == field.default and parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
                assert f"    {name} : {field.metadata['text'][:20]}" in cls.__doc__
        assert "{options}" not in cls.__doc__


def test_options_are_checked_when_they_are_made_and_never_change():
    options = RecorderOptions(v=[1, 2], windows=[(0, 5)], reduce="rates")
    assert options.windows == [[0.0, 5.0]] and options.reduce.keys() == {"rates"} and options.wanted.keys() == {"v"}
    assert options.kept().keys() == set(OPTIONS)
    with pytest.raises(AttributeError):
        options.every = 2
    with pytest.raises(ValueError, match=r"Recorder\.every must be a positive number of trials"):
        RecorderOptions(every=0)
    with pytest.raises(TypeError, match=r"Recorder must get options among spikes, v, a, .*did you mean every\?"):
        Recorder("unused.h5", evry=2)
    assert_array_equal(options.v, [1, 2])
