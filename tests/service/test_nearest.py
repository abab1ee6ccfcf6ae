"""The known name that an unknown one is most like."""

from service.nearest import nearest


def test_a_name_with_a_typing_error_is_asked_for():
    assert nearest("stert", ["stream", "start", "stop"]) == "; did you mean start?"


def test_nothing_is_asked_where_no_name_is_alike():
    assert nearest("pump", ["stream", "start", ""]) == ""


def test_several_may_be_asked_for_the_likeliest_first():
    assert nearest("temp", ["temp_1", "tempo", "humidity"], most=2) == "; did you mean tempo or temp_1?"


def test_how_alike_is_the_callers_choice():
    assert nearest("serch", ["research"], likeness=0.9) == ""
    assert nearest("serch", ["research"], likeness=0.5) == "; did you mean research?"
