"""The certificate of the upstream that the bench brings along, for `localhost`, and its key.

The key is no secret: it is in every copy of this program, and only the bench's own proxy trusts it, while it runs.
"""

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUPaiFsY3QfH+koRtmPgCzHFA5k8MwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzEzMzkyNFoYDzIxMjYxMTAz
MTMzOTI0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT4lV+xIhOfq4obf2dfO2duBEq4Cdw+gVsrxVToupKChgJMYHoUjFzC
TLrTGctQ0PGPf6mc/9JrkOilU/QSDyWNo28wbTAdBgNVHQ4EFgQUmtV3fAPexNg5
0LkrjqQgE6CpmEMwHwYDVR0jBBgwFoAUmtV3fAPexNg50LkrjqQgE6CpmEMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAMHDEcOTZjnE3PkBOt/HAhde9bPmnzLb//pqt0T6r1fpAiEA
lNnRVKEvJ3wM6ZJJqrnbXnaNAa/SIFQr2dknePG6zf8=
-----END CERTIFICATE-----
"""

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/JtApQUyBnq4ThID
kgQOaeWYHDx9QuOmiImOBRQh+gqhRANCAAT4lV+xIhOfq4obf2dfO2duBEq4Cdw+
gVsrxVToupKChgJMYHoUjFzCTLrTGctQ0PGPf6mc/9JrkOilU/QSDyWN
-----END PRIVATE KEY-----
"""
