"""A stand-in for the Hugging Face Hub: it answers as HfApi does, and its files lie in the cache."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import ModelInfo


class FakeHub:
    """Repositories of models by name, each of one commit.

    Attributes:
        cache: The Hub's cache.
        asked: What was asked, in order.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.asked: list[str] = []
        self._infos: dict[str, ModelInfo] = {}
        self._vanished: list[str] = []

    def add(self, name: str, files: Mapping[str, bytes], **about: Any) -> str:
        """Publish a repository whose files are cached already; gives its commit."""
        commit = hashlib.sha1(name.encode()).hexdigest()
        snapshot = self.cache / f'models--{name.replace("/", "--")}' / 'snapshots' / commit
        for file, content in files.items():
            (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / file).write_bytes(content)
        siblings = [
            {
                'rfilename': file,
                'size': len(content),
                'lfs': {
                    'size': len(content),
                    'sha256': hashlib.sha256(content).hexdigest(),
                    'pointerSize': 100,
                },
            }
            for file, content in files.items()
        ]
        self._infos[name] = ModelInfo(id=name, sha=commit, siblings=siblings, **about)
        return commit

    def vanish(self, name: str) -> None:
        """A repository that a search still finds, but that is gone."""
        self._vanished.append(name)

    def list_models(self, *, search: str, sort: str, limit: int) -> list[ModelInfo]:
        self.asked.append(search)
        names = [*self._infos, *self._vanished]
        return [ModelInfo(id=name) for name in names if search in name][:limit]

    def model_info(
        self, name: str, *, revision: str | None, files_metadata: bool, timeout: float
    ) -> ModelInfo:
        self.asked.append(name)
        if name in self._infos and revision in (None, self._infos[name].sha):
            return self._infos[name]
        raise RepositoryNotFoundError('404 Client Error.\nNot found.', response=self.answer())

    @staticmethod
    def answer() -> Any:
        """What an error carries: the Hub's library has changed its HTTP client twice."""
        return SimpleNamespace(headers={}, request=None)
