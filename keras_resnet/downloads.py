"""Published files, in Keras' own cache: fetched once, verified by their hash."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import keras


def fetch(url: str, md5: str, otherwise: str) -> Path:
    """Returns the path of a published file, downloading it unless the cache holds it.

    Args:
        url: where the file lies; its last part is the name in the cache.
        md5: hexadecimal hash of the content, lower case.
        otherwise: what a user without network can do instead, for the error.

    Raises:
        OSError: if the file cannot be had, or has another hash, in which case it is deleted. Names the URL and the
            place for a file that was downloaded by other means.
    """
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    with suppress(OSError):  # get_file takes a folder that is not there for one that can't be written
        home.mkdir(parents=True, exist_ok=True)
    if not os.access(home, os.W_OK):
        home = Path(tempfile.gettempdir()) / ".keras"  # as Keras does
        home.mkdir(exist_ok=True)
    path = home / "models" / url.rsplit("/", 1)[-1]
    try:
        keras.utils.get_file(path.name, url, cache_dir=home, cache_subdir=path.parent.name, file_hash=md5)
    except Exception as error:  # get_file raises bare Exceptions
        path.unlink(missing_ok=True)
        raise OSError(
            f"Could not get {url} ({error}). Download that file by other means and put it at {path}, or {otherwise}."
        ) from error
    return path
