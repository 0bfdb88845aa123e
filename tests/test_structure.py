"""What holds for the code as a whole: a name means one thing."""

from tests.figures import code_read, homonyms


def test_no_top_level_name_stands_in_two_modules():
    """Choose another name for the newer one; figures.py has the few names that a convention gives to many modules."""
    assert homonyms(code_read()) == {}
