"""Published files, in Keras' own cache: fetched once, verified by their hash."""

import os
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
    name = url.rsplit("/", 1)[-1]
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    with suppress(OSError):  # a home that can't be written is left to Keras, which falls back to /tmp
        folder.mkdir(parents=True, exist_ok=True)
    try:
        found = keras.utils.get_file(name, url, cache_dir=folder.parent, cache_subdir=folder.name, file_hash=md5)
    except Exception as error:  # get_file raises bare Exceptions
        (folder / name).unlink(missing_ok=True)
        raise OSError(
            f"Could not get {url} ({error}). Download that file by other means and put it at {folder / name}, or "
            f"{otherwise}."
        ) from error
    return Path(found)
