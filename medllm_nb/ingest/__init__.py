"Every format to reports with their text; what cannot be read is set aside with its reason."

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "parameters": ["IngestParams"],
        "contents": ["Contents", "ExtractedReport", "IngestError", "MissingTool", "Page"],
        "characters": ["normalize_text", "symbol_character"],
        "language": ["find_language"],
        "ocr": ["ocr_page", "prepare_image"],
        "text_layer": ["usable_text"],
        "pdf": ["read_pdf"],
        "decoding": ["decode_text"],
        "tables": ["read_csv", "read_table"],
        "word": ["read_docx"],
        "rtf": ["read_rtf"],
        "webpage": ["read_html"],
        "spreadsheets": ["read_xlsx"],
        "office": ["read_doc", "read_odt", "read_pptx"],
        "pictures": ["gray_picture", "read_image"],
        "formats": ["FORMAT_READERS", "file_kind", "read_content"],
        "headers": ["header_fields", "name_key"],
        "reading": ["Report", "make_report", "read_file", "read_report", "read_reports"],
        "patients": ["LedgerEntry", "extend_ledger", "link_patients", "read_ledger", "same_patient"],
        "exclude": ["ExcludedReport", "ExcludedRow", "ExclusionError", "exclude_patients", "read_excluded"],
        "folder": ["FileResult", "Quarantined", "ReviewPage", "find_files", "gather", "pages_to_review", "read_all"],
        "accuracy": ["character_error_rate", "linked_pairs", "misread_by_format", "plot_formats"],
        "ingest": ["run_ingest"],
    },
)
