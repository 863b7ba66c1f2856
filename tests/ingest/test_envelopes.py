"ZIPs and mails: every member and attachment is read as a file, wherever a program puts it, and limits are shared."

import email.message
import email.mime.application
import email.mime.image
import email.mime.multipart
import email.mime.text

import pytest

from medllm_nb.ingest import pictures as reader
from medllm_nb.ingest import (
    IngestError,
    IngestParams,
    read_content,
)

from made_files import (
    CHEST,
    NAME,
    TEXT,
    around,
    locked_zip,
    mail,
    part,
    pasted_mail,
    pdf,
    reports_of,
    saved,
    text_scan,
    texts,
    zipped,
)


def test_a_report_keeps_its_id_when_its_zip_or_mail_grows(tmp_path):
    members = [(f"{i}.txt", f"{TEXT} {i}") for i in range(3)]
    ids = lambda name, content: [r.report_id for r in reports_of(tmp_path, name, content)[0]]
    alone = [ids(name, text.encode())[0] for name, text in members]
    assert ids("a.zip", zipped(members[:2])) == alone[:2] and ids("b.zip", zipped(members)) == alone
    assert ids("c.eml", mail("See below.", [(name, text.encode()) for name, text in members])) == alone
    table = ("t.csv", b"mrn,text\n1,%s\n2,%s again\n" % ((TEXT.replace("\n", " ").replace(",", "").encode(),) * 2))
    assert ids("d.zip", zipped([table])) == ids(*table) and len(set(ids(*table))) == 2


def test_a_bad_member_does_not_lose_the_others(tmp_path):
    members = [
        ("a.txt", TEXT),
        (f"{NAME}.exe", b"MZ\x90\x00\x03" + bytes(99)),
        ("cut.pdf", pdf()[:200]),
        ("b.txt", TEXT + " Again."),
    ]
    reports, problems = reports_of(tmp_path, "mixed.zip", zipped(members))
    assert len(reports) == 2 and [e.kind for e in problems] == ["unknown format", "broken PDF"]
    assert "member 2" in str(problems[0]) and NAME not in str(problems[0])
    reports, problems = reports_of(tmp_path, "locked.zip", locked_zip())
    assert len(reports) == 1 and [e.kind for e in problems] == ["password-protected ZIP"]


def read_content_of(content, params):
    contents = read_content(content, "x.zip", params)
    return len(contents.reports), [e.kind for e in contents.problems]


def test_envelopes_in_envelopes_share_one_budget(tmp_path):
    nested = TEXT.encode()
    for _ in range(6):
        nested = zipped([("in.zip" if nested.startswith(b"PK") else "a.txt", nested)])
    with pytest.raises(IngestError, match="nested too deep"):
        reports_of(tmp_path, "deep.zip", nested)
    inner = zipped([(f"{i}.txt", f"{TEXT} {i}") for i in range(6)])
    reports, problems = read_content_of(zipped([("1.zip", inner), ("2.zip", inner)]), IngestParams(max_members=10))
    assert reports == 6 and problems == ["too many members"]


def signed(attachment):
    signature = email.mime.application.MIMEApplication(b"x" * 200, "pkcs7-signature", name="smime.p7s")
    return around("signed", around("mixed", part(TEXT), attachment), signature)


def beside_the_html(attachment):
    return around("mixed", around("alternative", part(TEXT), around("mixed", part(f"<p>{TEXT}", "html"), attachment)))


def alone(attachment):
    return attachment


@pytest.mark.parametrize("make", [signed, beside_the_html, alone])
def test_an_attachment_is_found_wherever_a_mail_program_puts_it(make):
    message = make(part("Attached: the spleen is normal, no focal lesion is seen.", name="r.txt"))
    message["From"] = "ward@example.org"
    found, problems = texts(message.as_bytes(), "a.eml")
    assert "the spleen is normal" in found[-1] and not problems and sum("Right lower lobe" in f for f in found) <= 1


@pytest.mark.parametrize("octets", [False, True], ids=["as an image", "as octets"])
def test_a_scan_pasted_into_a_mail_is_read_and_its_logos_are_not(octets, monkeypatch):
    read, sizes = reader.read_page, []
    monkeypatch.setattr(reader, "read_page", lambda image, params: sizes.append(image.size) or read(image, params))
    logos = [saved(text_scan("Springfield", size=size)) for size in ((400, 200), (1200, 150), (64, 64))]
    found, problems = texts(pasted_mail(logos[0], saved(text_scan(*CHEST)), *logos[1:], octets=octets), "a.eml")
    assert len(found) == 1 and "left lower lobe" in found[0] and not problems and sizes == [(1240, 700)]


def test_a_document_that_a_mail_program_puts_beside_the_layout_is_an_attachment():
    made = email.mime.application.MIMEApplication(pdf(), "pdf", name="scan.pdf")
    made["Content-ID"] = "<x@y>"
    message = around("related", part("<p>See below", "html"), made)
    message["From"], message["Message-ID"] = "ward@example.org", "<1@example.org>"
    assert "Right lower lobe" in texts(message.as_bytes(), "a.eml")[0][0]
