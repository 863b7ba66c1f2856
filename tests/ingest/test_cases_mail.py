"""Mails, mailboxes and archives: the cases after public bug reports, and their kin."""

import email.policy
import gzip
import io
import tarfile
import zipfile
from email.message import EmailMessage

import py7zr
import pytest
from asn1crypto import cms
from case_files import case_text, read_case

from medllm_nb.ingest import IngestError, IngestParams, read_content

TEXT = "FINDINGS: The heart is enlarged. There is a small right pleural effusion."


def mail(plain=TEXT, html=None, **fields):
    "A mail with a text, in one form or two."
    message = EmailMessage(policy=email.policy.default)
    message["From"], message["To"], message["Subject"] = "ward@example.org", "clinic@example.org", "Results"
    message["Message-ID"] = "<1@example.org>"
    message.set_content(plain)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def texts(content, name="a.eml", **params):
    "The texts of a file's reports, and the kinds of its problems."
    contents = read_content(content, name, IngestParams(**params))
    return [r.text for r in contents.reports], [p.kind for p in contents.problems]


@pytest.mark.parametrize(
    "name, wanted",
    [
        pytest.param(
            "MAI-01-Inbox.mbox", "Fracture of the left distal radius. IMPRESSION: Colles fracture.", id="second mail"
        ),
        pytest.param("MAI-03-a.eml", "There is a small right pleural effusion.", id="empty plain part"),
        pytest.param("MAI-04-a.eml", "There is a small right pleural effusion.", id="an apology as plain part"),
        pytest.param("MAI-06-a.eml", "with a small right pleural effusion.", id="text around an attachment"),
        pytest.param("MAI-09-a.eml", "IMPRESSION: No evidence of\npneumonia.", id="soft breaks"),
    ],
)
def test_a_case_is_read(name, wanted):
    assert wanted in case_text(name)


def test_a_damaged_signed_mail_is_refused_as_such():
    assert [p.kind for p in read_case("MAI-07-a.eml")[1]] == ["signed mail"]


def test_text_below_an_attachment_goes_on_with_the_mail():
    message = mail()
    message.add_attachment(
        b"Attached: the spleen is normal, no focal lesion.", maintype="text", subtype="plain", filename="a.txt"
    )
    after = EmailMessage(policy=email.policy.default)
    after.set_content("Please call.")
    message.attach(after)
    (first, second), problems = texts(message.as_bytes())
    assert first.endswith("Please call.") and "spleen" in second and not problems


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_each_mail_of_a_mailbox_is_a_report_and_an_escaped_line_is_text(newline):
    first = mail(TEXT + "\n\n>From the ward: no fever.\n").as_bytes()
    second = mail("IMPRESSION: Colles fracture of the left distal radius, closed.").as_bytes()
    box = b"".join(b"From - Tue Mar  5 10:00:00 2024\n" + m + b"\n" for m in (first, second))
    (one, two), problems = texts(box.replace(b"\n", newline), "Inbox")
    assert "From the ward: no fever." in one and "Colles" in two and "Colles" not in one and not problems


def test_an_unknown_character_set_is_guessed():
    content = mail().as_bytes().replace(b'charset="utf-8"', b'charset="x-hospital"')
    assert TEXT in texts(content)[0][0]


def signed(inner, kind="signed_data"):
    "A mail whose whole content lies in an S/MIME container."
    data = cms.SignedData({"version": "v1", "digest_algorithms": [], "signer_infos": [],
                           "encap_content_info": {"content_type": "data", "content": inner}})  # fmt: skip
    container = cms.ContentInfo({"content_type": "signed_data", "content": data}).dump()
    message = EmailMessage(policy=email.policy.default)
    message["From"], message["Subject"], message["Message-ID"] = "ward@example.org", "Results", "<2@example.org>"
    message.set_content(container, maintype="application", subtype="pkcs7-mime", filename="smime.p7m")
    message.set_param("smime-type", kind.replace("_", "-"))
    return message.as_bytes()


def test_a_mail_signed_as_a_whole_is_read_and_an_encrypted_one_refused():
    inner = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + TEXT.encode()
    assert TEXT in texts(signed(inner))[0][0]
    encrypted = signed(b"").replace(b"signed-data", b"enveloped-data")
    with pytest.raises(IngestError, match="encrypted mail"):
        texts(encrypted)


def tar(mode, **files):
    "A tar file."
    with tarfile.open(fileobj=(packed := io.BytesIO()), mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def seven(**files):
    "A 7z file."
    with py7zr.SevenZipFile(packed := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(data, name)
    return packed.getvalue()


def zipped(**files):
    "A ZIP file."
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


PACKERS = {"tar": lambda **f: tar("w", **f), "tgz": lambda **f: tar("w:gz", **f), "7z": seven, "zip": zipped}


@pytest.mark.parametrize("kind", PACKERS)
def test_each_file_of_an_archive_is_a_report_and_a_bad_one_loses_no_other(kind):
    files = {"a": TEXT.encode(), "b": TEXT.replace("right", "left").encode(), "c": bytes(range(256)) * 4}
    for name in (f"export.{kind}", "export"):
        found, problems = texts(PACKERS[kind](**files), name)
        assert found == [TEXT, TEXT.replace("right", "left")] and len(problems) == 1


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_in_an_archive_is_read_and_both_share_the_budget(kind):
    inner = PACKERS[kind](a=TEXT.encode())
    assert texts(zipped(inner=inner))[0] == [TEXT]
    many = PACKERS[kind](**{f"n{n}": TEXT.encode() for n in range(9)})
    with pytest.raises(IngestError, match="max_members"):
        texts(many, max_members=5)


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: tar("w:gz", a=data), lambda data: seven(a=data)])
def test_what_unfolds_beyond_the_limit_is_refused(pack):
    with pytest.raises(IngestError, match="max_unpacked_mb|max_ratio|zip bomb"):
        texts(pack(bytes(3 * 10**6)), "a.gz", max_unpacked_mb=1)


def test_a_single_gzipped_file_is_read():
    assert texts(gzip.compress(TEXT.encode()), "report.txt.gz")[0] == [TEXT]


def test_a_container_of_outlook_is_counted_with_its_reason():
    message = mail()
    message.add_attachment(
        b"\x78\x9f\x3e\x22" + bytes(40), maintype="application", subtype="ms-tnef", filename="winmail.dat"
    )
    contents = read_content(message.as_bytes(), "a.eml")
    assert [r.format for r in contents.reports] == ["email"]
    assert "winmail.dat" in str(contents.problems[0])
