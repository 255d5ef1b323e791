"""Reading images from registries."""

from orlop.registry.blob import BlobStream
from orlop.registry.client import RegistryClient
from orlop.registry.credential import Credential, CredentialStore, MemoryCredentials
from orlop.registry.keychain import Keychain
from orlop.registry.options import RegistryOptions
from orlop.registry.source import RegistrySource

__all__ = [
    "BlobStream",
    "Credential",
    "CredentialStore",
    "Keychain",
    "MemoryCredentials",
    "RegistryClient",
    "RegistryOptions",
    "RegistrySource",
]
