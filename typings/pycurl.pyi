"""What this program uses of pycurl, which has no types of its own."""

from typing import Any, overload

version: str

class _Count(int): ...
class _Seconds(int): ...
class error(Exception): ...

class Curl:
    handle: Any  # whatever its owner wants to find again
    def setopt(self, option: int, value: object) -> None: ...
    def unsetopt(self, option: int) -> None: ...
    @overload
    def getinfo(self, info: _Count) -> int: ...
    @overload
    def getinfo(self, info: _Seconds) -> float: ...
    def pause(self, bitmask: int) -> None: ...
    def close(self) -> None: ...

class CurlMulti:
    def setopt(self, option: int, value: object) -> None: ...
    def add_handle(self, handle: Curl) -> None: ...
    def remove_handle(self, handle: Curl) -> None: ...
    def socket_action(self, socket: int, events: int) -> tuple[int, int]: ...
    def info_read(self) -> tuple[int, list[Curl], list[tuple[Curl, int, str]]]: ...
    def timeout(self) -> int: ...

APPCONNECT_TIME: _Seconds
AWS_SIGV4: int
CAINFO: int
CONNECTTIMEOUT_MS: int
CONNECT_TIME: _Seconds
CONN_ID: _Count
CURL_HTTP_VERSION_1_1: int
CURL_HTTP_VERSION_2TLS: int
CUSTOMREQUEST: int
DEBUGFUNCTION: int
E_COULDNT_RESOLVE_HOST: int
E_OPERATION_TIMEDOUT: int
E_SEND_ERROR: int
E_SEND_FAIL_REWIND: int
FOLLOWLOCATION: int
FORBID_REUSE: int
FRESH_CONNECT: int
HEADERFUNCTION: int
HTTP09_ALLOWED: int
HTTPGET: int
HTTPHEADER: int
HTTP_VERSION: int
INFOTYPE_TEXT: int
IPRESOLVE: int
IPRESOLVE_V4: int
IPRESOLVE_V6: int
IPRESOLVE_WHATEVER: int
KEYPASSWD: int
LOCAL_PORT: _Count
MAXAGE_CONN: int
MAXLIFETIME_CONN: int
M_MAXCONNECTS: int
M_MAX_HOST_CONNECTIONS: int
M_MAX_TOTAL_CONNECTIONS: int
M_PIPELINING: int
NOBODY: int
NOPROXY: int
NOSIGNAL: int
NUM_CONNECTS: _Count
PATH_AS_IS: int
PAUSE_CONT: int
PIPEWAIT: int
PIPE_MULTIPLEX: int
PIPE_NOTHING: int
POLL_REMOVE: int
POST: int
POSTFIELDSIZE_LARGE: int
PROTOCOLS: int
PROTO_HTTP: int
PROTO_HTTPS: int
PROXY: int
UNIX_SOCKET_PATH: int
READFUNCTION: int
REQUEST_SIZE: _Count
RESOLVE: int
SOCKET_TIMEOUT: int
SOCKOPTFUNCTION: int
SOCKOPT_OK: int
SSLCERT: int
SSLKEY: int
SSL_VERIFYHOST: int
SSL_VERIFYPEER: int
TCP_KEEPALIVE: int
TCP_NODELAY: int
URL: int
USERAGENT: int
USERPWD: int
VERBOSE: int
WRITEFUNCTION: int
READFUNC_PAUSE: int
WRITEFUNC_PAUSE: int
