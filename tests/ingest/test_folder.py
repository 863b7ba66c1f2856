"A folder: pages are read once, whatever envelope they come in."

import io
import zipfile


from medllm_nb.ingest import (
    IngestParams,
    ocr,
)
from medllm_nb.ingest.folder import read_cached

from made_files import (
    NAME,
    scan,
)


def zip_of_scans(*pages):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, page in enumerate(pages):
            archive.writestr(zipfile.ZipInfo(f"{i}.png"), page)  # without the time of day, or no two archives are equal
    return buffer.getvalue()


def test_a_scan_more_in_a_zip_sends_one_page_through_ocr(tmp_path, monkeypatch):
    calls, read = [], ocr.ocr_page
    monkeypatch.setattr(ocr, "ocr_page", lambda *given: calls.append(1) or read(*given))
    path, cache = tmp_path / "all.zip", tmp_path / "cache"
    cache.mkdir()

    def reading(*pages, params=IngestParams()):
        calls.clear()
        path.write_bytes(zip_of_scans(*pages))
        reports, problems, cached = read_cached(path, path.name, params, cache, bytes(32))
        assert not problems
        return [r.text for r in reports], len(calls), cached

    first, pages, cached = reading(scan(), scan(1))
    assert pages == 2 and not cached and len(set(first)) == 2
    alone, pages, _ = reading(scan(2))
    assert pages == 1 and reading(scan(2), scan(), scan(1)) == ([*alone, *first], 0, False)
    assert reading(scan(), scan(3), scan(1))[1:] == (1, False)
    assert reading(scan(), scan(3), scan(1))[1:] == (0, True)
    assert reading(scan(), params=IngestParams(ocr_min_height=1900))[1] == 1
    assert not any(NAME.encode() in p.read_bytes() for p in cache.rglob("*") if p.is_file())
