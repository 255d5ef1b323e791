import ctypes
import errno
import os
import signal
import threading

import pytest

from orlop._sys.handle import Fd, call, failure, fd_path


@pytest.fixture
def number():
    return os.open("/", os.O_PATH)


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_block_closes_it_once(number):
    with Fd(number) as fd:
        assert fd.fileno() == number
        assert os.path.samefile(fd_path(fd), "/")
    assert fd.closed
    assert not is_open(number)
    fd.close()
    with pytest.raises(ValueError, match="closed"):
        fd.fileno()


def test_it_is_closed_when_the_block_fails(number):
    with pytest.raises(RuntimeError), Fd(number):
        raise RuntimeError
    assert not is_open(number)


def test_given_away_it_stays_open(number):
    with Fd(number) as fd:
        assert fd.detach() == number
    assert is_open(number)
    os.close(number)


def test_forgotten_it_is_closed_with_a_warning(number):
    fd = Fd(number)
    with pytest.warns(ResourceWarning, match="not closed"):
        del fd
    assert not is_open(number)


def test_an_error_has_the_calls_name_and_the_path(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        call("umount2", os.fsencode(tmp_path / "none"), 8, path=tmp_path / "none")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(tmp_path / "none")
    assert str(caught.value).startswith("[Errno 2] umount2: No such file")


def test_what_the_kernel_adds_is_in_the_message():
    error = failure("fsconfig", errno.EINVAL, None, "bad value")
    assert type(error) is OSError
    assert str(error) == "[Errno 22] fsconfig: Invalid argument (bad value)"


def test_large_numbers_reach_the_kernel_whole(tmp_path):
    with Fd(os.open(tmp_path / "sparse", os.O_RDWR | os.O_CREAT)) as fd:
        call("ftruncate", fd.fileno(), 5 << 32)
        assert os.fstat(fd.fileno()).st_size == 5 << 32


def test_an_interrupted_call_is_made_again():
    reader, writer = os.pipe()
    buffer = ctypes.create_string_buffer(1)
    main = threading.get_ident()
    seen = []

    def interrupt_then_write():
        for _ in range(3):
            signal.pthread_kill(main, signal.SIGUSR1)
        os.write(writer, b"x")

    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    signal.siginterrupt(signal.SIGUSR1, True)
    thread = threading.Thread(target=interrupt_then_write)
    try:
        thread.start()
        assert call("read", reader, buffer, 1) == 1
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        os.close(reader)
        os.close(writer)
    assert buffer.raw == b"x"
    assert seen
