"""A hub's folder from nothing: its signing key, its certificate authority and its own two certificates."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import ValidationError

from wardgate.entropy import Entropy
from wardgate.hub.consortium.certificates import Authority, key_pem, make_root, new_key, pem_of, read_key
from wardgate.hub.home import Home
from wardgate.records.errors import Broken, Invalid
from wardgate.records.hub_file import IDENTITY, HubFile, parse, text_of
from wardgate.records.keyring import KeyFile
from wardgate.records.keyring import read_key as read_signing_key
from wardgate.road.whole import make_folder, write_file, write_new

ROOT_KEY, ROOT = "root.key", "root.crt"
SERVER_KEY, SERVER = "server.key", "server.crt"
COORDINATOR_KEY, COORDINATOR = "coordinator.key", "coordinator.crt"

FOLDERS = ("ca", "members", "studies", "road", "engine")


def found(
    home: Home,
    *,
    consortium: str,
    host: str,
    port: int,
    addresses: Sequence[str] = (),
    now: datetime,
    entropy: Entropy,
    tls_key: Callable[[], RSAPrivateKey] = new_key,
) -> HubFile:
    """Make a hub's folder, whole or not at all. Everything in it is its owner's alone; keys have mode 0600.

    Args:
        home: Must not exist; its parent must.
        consortium: Letters, digits and -, at most 40; stands in every certificate.
        host: What hospitals connect to: a name, or an IPv4 or IPv6 address.
        addresses: Other names and addresses of the same hub, for its certificate.
        entropy: Makes the hub's signing key.
        tls_key: Makes a private key for a certificate.

    Raises:
        Invalid: a name, address or port that cannot be used, or the folder exists.
        OSError: no room, or no right to write; nothing is left.
    """
    hub = hub_file(consortium=consortium, host=host, port=port, addresses=addresses)

    def fill(draft: Path) -> None:
        inside = Home(draft)
        for name in FOLDERS:
            (draft / name).mkdir(mode=0o700)
        signing = KeyFile(name="hub", role="hub", seed=entropy.bytes(32).hex())
        root_key = tls_key()
        authority = Authority(make_root(hub.consortium, root_key, now=now), root_key)
        server_key, coordinator_key = tls_key(), tls_key()
        write_new(inside.hub_file, text_of(hub).encode(), mode=0o600)
        write_new(inside.key, signing.to_bytes(), mode=0o600)
        for name, key in ((ROOT_KEY, root_key), (SERVER_KEY, server_key), (COORDINATOR_KEY, coordinator_key)):
            write_new(inside.authority / name, key_pem(key), mode=0o600)
        write_new(inside.authority / ROOT, pem_of(authority.certificate), mode=0o644)
        for name, certificate in _own(authority, hub, server_key, coordinator_key, now=now).items():
            write_new(inside.authority / name, pem_of(certificate), mode=0o644)

    try:
        make_folder(home.root, fill)
    except FileExistsError:
        raise Invalid(
            f"'{home.root.name}' exists already: a hub is founded in a folder of its own, once; choose another name"
        ) from None
    return hub


def hub_file(*, consortium: str, host: str, port: int, addresses: Sequence[str] = ()) -> HubFile:
    """Return a checked `hub.yaml`.

    Raises:
        Invalid: a name, address or port that cannot be used.
    """
    try:
        return HubFile(consortium=consortium, host=host, port=port, addresses=tuple(addresses))
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        )
        raise Invalid(f"not a hub: {found}") from None


def read_hub(home: Home) -> HubFile:
    """Read `hub.yaml`.

    Raises:
        Invalid: no hub was founded here, or the file cannot be read; the message names the line.
    """
    try:
        text = home.hub_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"no hub in '{home.root.name}' (hub.yaml: {type(error).__name__}): found one with `wardgate hub init`"
        ) from None
    return parse(text)


def read_hub_key(home: Home) -> KeyFile:
    """Read the hub's signing key.

    Raises:
        Invalid: absent, damaged, or a key of something else.
    """
    try:
        key = read_signing_key(home.key.read_bytes())
    except OSError as error:
        raise Invalid(f"no hub in '{home.root.name}' (key.json: {type(error).__name__})") from None
    if key.role != "hub":
        raise Invalid(f"key.json holds the key of a {key.role}; expected that of a hub")
    return key


def read_authority(home: Home) -> Authority:
    """Read the consortium's certificate authority, able to sign.

    Raises:
        Broken: a file is absent or damaged, or key and certificate do not belong together.
    """
    return Authority(read_certificate(home, ROOT), _private(home, ROOT_KEY))


def read_certificate(home: Home, name: str) -> x509.Certificate:
    """Read one of the hub's own certificates: ROOT, SERVER or COORDINATOR.

    Raises:
        Broken: absent or damaged.
    """
    try:
        return x509.load_pem_x509_certificate((home.authority / name).read_bytes())
    except (OSError, ValueError) as error:
        raise Broken(f"the hub's certificate ca/{name} cannot be read ({type(error).__name__})") from None


def renew_own(home: Home, *, now: datetime) -> None:
    """Certify the hub's server and coordinator anew, under the same keys and the addresses that `hub.yaml` now says.

    Raises:
        Refused: the authority itself has expired.
        Invalid: `hub.yaml` names another consortium than the authority's certificate.
    """
    hub, authority = read_hub(home), read_authority(home)
    named = authority.certificate.subject.rfc4514_string().removeprefix("CN=")
    if named != hub.consortium:
        raise Invalid(f"hub.yaml says consortium '{hub.consortium}', its certificates '{named}'; it cannot change")
    keys = [_private(home, name) for name in (SERVER_KEY, COORDINATOR_KEY)]
    for name, certificate in _own(authority, hub, *keys, now=now).items():
        write_file(home.authority / name, pem_of(certificate), mode=0o644)


def _private(home: Home, name: str) -> RSAPrivateKey:
    try:
        return read_key((home.authority / name).read_bytes())
    except OSError as error:
        raise Broken(f"the hub's key ca/{name} cannot be read ({type(error).__name__})") from None


def _own(
    authority: Authority, hub: HubFile, server: RSAPrivateKey, coordinator: RSAPrivateKey, *, now: datetime
) -> dict[str, x509.Certificate]:
    return {
        SERVER: authority.for_server(hub.consortium, IDENTITY, server.public_key(), reached_at=hub.reached_at, now=now),
        COORDINATOR: authority.for_coordinator(hub.consortium, hub.coordinator, coordinator.public_key(), now=now),
    }
