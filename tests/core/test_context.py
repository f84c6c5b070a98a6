"""What an objective sees of its own evaluation."""

from thalweg.core.context import Context


def test_reports_go_out_and_the_answer_is_kept():
    heard = []

    def listen(number, step, values):
        heard.append((number, step, values))
        return step >= 2

    context = Context(7, 123, _report=listen)
    assert [context.report(1, 0.5), context.should_stop] == [False, False]
    assert [context.report(2, {"loss": 0.4}), context.should_stop] == [True, True]
    assert context.report(0, 0.3) is True, "once told to stop, always told to stop"
    assert heard == [(7, 1, 0.5), (7, 2, {"loss": 0.4}), (7, 0, 0.3)]


def test_nobody_needs_to_listen():
    assert Context(0, 0).report(1, 2.0) is False


def test_a_folder_is_made_once_and_removed():
    context = Context(3, 0)
    context.clean()  # nothing was made: nothing to do
    folder = context.folder
    assert folder.is_dir() and folder == context.folder and "thalweg-3-" in folder.name
    (folder / "file").write_text("x")
    context.clean()
    assert not folder.exists()
    assert context.folder != folder
    context.clean()
