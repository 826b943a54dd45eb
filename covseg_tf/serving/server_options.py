"""Where the embedded server listens and what it refuses."""

import dataclasses
import hmac
import ipaddress
import re

from covseg_tf.serving.errors import Unauthorized

_COUNTS = ("max_request_bytes", "max_image_pixels", "workers", "queue_size")


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Settings of the embedded server.

    Attributes:
        host: Address to bind. Anything but loopback needs a token.
        port: Port of the REST API; 0 takes a free one.
        grpc_port: Port of the gRPC API; 0 takes a free one, `None` serves none.
        token: What a caller must send as `Authorization: Bearer TOKEN`:
            printable ASCII without blanks.
        max_request_bytes: Largest body or message.
        max_image_pixels: Largest rows times columns of an encoded image.
        workers: Requests computed at once.
        queue_size: Requests that may wait besides; one more is refused.
        request_timeout: Seconds for receiving and computing one request; in
            gRPC for either.

    Raises:
        ValueError: If a number is out of range, the token could not be sent, or
            the address is open to others and there is no token.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = None
    token: str | None = None
    max_request_bytes: int = 32 * 2**20
    max_image_pixels: int = 25_000_000
    workers: int = 2
    queue_size: int = 32
    request_timeout: float = 60.0

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if "port" in name and not 0 <= (value or 0) <= 65535:
                raise ValueError(f"`{name}` must be in [0, 65535]. Received: {value}")
            least = 0 if name == "queue_size" else 1
            if name in _COUNTS and value < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: {value}"
                )
        if not self.request_timeout > 0:
            raise ValueError(
                f"`request_timeout` must be above 0. Received: {self.request_timeout}"
            )
        # A header loses blanks at its ends, and holds no other letters.
        if self.token is not None and not re.fullmatch("[!-~]+", self.token):
            raise ValueError(
                "`token` must be one or more printable ASCII characters without "
                "blanks, or no caller could send it. Received one of "
                f"{len(self.token)} characters that is not."
            )
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is open to other machines and needs a token: set "
                "COVSEG_TOKEN or --token, or bind 127.0.0.1."
            )

    def check_token(self, sent: str) -> None:
        """Refuses a request whose header `Authorization` is not the token's.

        Raises:
            Unauthorized: If it is another.
        """
        # Headers hold any byte as Latin-1; bytes compare whatever they hold.
        wanted = f"Bearer {self.token}".encode()
        if self.token and not hmac.compare_digest(sent.encode(), wanted):
            raise Unauthorized(
                "Send the server's token as: Authorization: Bearer TOKEN"
            )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
