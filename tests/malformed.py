"""Bodies that are no review: what they are, the bytes, and the reason that is told."""

import json


def _review(**changes: object) -> bytes:
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u"}}
    return json.dumps(
        {key: value for key, value in {**review, **changes}.items() if value != "absent"}
    ).encode()


MALFORMED: tuple[tuple[str, bytes, str], ...] = (
    ("nothing", b"", "not_json"),
    ("white space", b" \n", "not_json"),
    ("text", b"hello", "not_json"),
    ("yaml", b"kind: AdmissionReview\n", "not_json"),
    ("truncated", _review()[:-1], "not_json"),
    ("two documents", _review() * 2, "not_json"),
    ("a byte order mark", b"\xef\xbb\xbf" + _review(), "not_json"),
    ("utf-16", _review().decode().encode("utf-16"), "not_json"),
    ("invalid utf-8", b'{"kind": "\xff"}', "not_json"),
    ("overlong utf-8", b'{"kind": "\xc0\xaf"}', "not_json"),
    ("a lone surrogate", b'{"kind": "\\ud800"}', "not_json"),
    ("a raw newline in a string", b'{"kind": "a\nb"}', "not_json"),
    ("NaN", b'{"kind": NaN}', "not_json"),
    ("Infinity", b'{"kind": Infinity}', "not_json"),
    ("single quotes", b"{'kind': 'AdmissionReview'}", "not_json"),
    ("a trailing comma", b'{"kind": "AdmissionReview",}', "not_json"),
    ("a comment", b'/* */ {"kind": "AdmissionReview"}', "not_json"),
    ("10,000 lists deep", b"[" * 10_000 + b"]" * 10_000, "not_json"),
    ("10,000 objects deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not_json"),
    ("protobuf", b"k8s\x00\n\x1f\n\x13admission.k8s.io/v1", "not_json"),
    ("null", b"null", "not_a_review"),
    ("a number", b"7", "not_a_review"),
    ("a string", b'"AdmissionReview"', "not_a_review"),
    ("a list", b"[]", "not_a_review"),
    ("an empty object", b"{}", "not_a_review"),
    ("no kind", _review(kind="absent"), "not_a_review"),
    ("another kind", _review(kind="Pod"), "not_a_review"),
    ("the kind in lower case", _review(kind="admissionreview"), "not_a_review"),
    ("the kind a list", _review(kind=["AdmissionReview"]), "not_a_review"),
    ("no version", _review(apiVersion="absent"), "not_a_review"),
    ("the beta version", _review(apiVersion="admission.k8s.io/v1beta1"), "not_a_review"),
    ("another group", _review(apiVersion="v1"), "not_a_review"),
    ("a kind given twice", b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "kind": "X"}', "not_a_review"),
    ("no request", _review(request="absent"), "no_request"),
    ("a null request", _review(request=None), "no_request"),
    ("a list as request", _review(request=[]), "no_request"),
    ("a string as request", _review(request="x"), "no_request"),
    ("an empty request", _review(request={}), "no_uid"),
    ("a null uid", _review(request={"uid": None}), "no_uid"),
    ("an empty uid", _review(request={"uid": ""}), "no_uid"),
    ("a number as uid", _review(request={"uid": 7}), "no_uid"),
    ("a list as uid", _review(request={"uid": ["u"]}), "no_uid"),
    ("a response in place of a request", _review(request="absent", response={"uid": "u", "allowed": True}), "no_request"),
)  # fmt: skip
